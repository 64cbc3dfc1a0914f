//! Builds small programs for attempts that make system calls by number, in some cases with the numbers of
//! another architecture. The programs consist of x86-64 machine code from the tables below, so no compiler is
//! needed.

/// The instruction that makes a system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SyscallMethod {
    /// The instruction `syscall`. It accepts x86-64 numbers, and x32 numbers, which have one additional bit.
    Syscall,
    /// The interrupt of 32-bit programs, with i386 numbers. On x86-64, the same numbers denote other calls.
    Interrupt,
}

/// An argument of a system call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SyscallArgument {
    Number(u64),
    /// The result that the last `ProgramStep::Keep` stored, plus this number.
    StoredResult(u64),
    /// A number that begins at `from`, and grows by `step` with each call of a `ProgramStep::Row`.
    CounterValue {
        from: u64,
        step: u64,
    },
}

/// One step of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ProgramStep {
    /// Makes a call; the program exits with 1 if the kernel refuses it.
    Call { method: SyscallMethod, number: u32, values: [SyscallArgument; 6] },
    /// Stores the result of the last call, for use in later arguments.
    StoreResult,
    /// Fills this many bytes of memory from `address` on.
    Fill { address: u64, bytes: u64 },
    /// Writes a word to an address.
    Put { address: u64, word: u64 },
    /// Repeats a call up to this many times, and stops when the kernel refuses it. If `counts` is true, also
    /// writes [`OBJECT_COUNT_MARK`] and the number of successful calls to the output. The program exits with
    /// 1 if fewer calls succeed.
    RepeatCall { number: u32, values: [SyscallArgument; 6], times: u32, counts: bool },
    /// Ends this thread, unless it is the thread that the last call created.
    ExitUnlessChild,
    /// Creates this many processes, which wait.
    Processes(u32),
    /// Writes [`HOLDING_MARK`] to the output, and waits until the input ends. The watcher can then measure
    /// the program's resources, even if the watcher checks rarely.
    Hold,
}

/// The mark that a process writes once it holds all its resources.
pub(super) const HOLDING_MARK: u8 = b'H';
/// The mark that a process writes before the number of objects that it has made. The number follows in eight
/// bytes.
pub(super) const OBJECT_COUNT_MARK: u8 = b'N';
const READ: u32 = 0;
const WRITE: u32 = 1;
const EXIT: u32 = 60;
const EXIT_GROUP: u32 = 231;
const PAUSE: u32 = 34;
const FORK: u32 = 57;
/// Address of the program in memory.
const BASE_ADDRESS: u64 = 0x40_0000;
/// Length of the two headers of the file. In the file, the mark that [`ProgramStep::Hold`] writes follows the
/// headers, and the code follows the mark.
const ELF_HEADERS_BYTES: u64 = 64 + 56;
/// The mark of `ProgramStep::Hold`, repeated to keep the code aligned.
const ALIGNED_HOLDING_MARK: [u8; 16] = [HOLDING_MARK; 16];

/// Returns a call with up to six numbers.
pub(super) fn call_step(number: u32, values: &[u64]) -> ProgramStep {
    let value = |at| SyscallArgument::Number(values.get(at).copied().unwrap_or(0));
    ProgramStep::Call { method: SyscallMethod::Syscall, number, values: [0, 1, 2, 3, 4, 5].map(value) }
}

/// Returns the file of a program that runs these steps and then exits with 0.
pub(super) fn build_program(steps: &[ProgramStep]) -> Vec<u8> {
    let mut code = Vec::new();
    for step in steps {
        match step {
            ProgramStep::Call { method: by, number, values } => {
                push_checked_call(&mut code, *by, *number, values);
            }
            // mov r15, rax
            ProgramStep::StoreResult => code.extend([0x49, 0x89, 0xc7]),
            ProgramStep::Fill { address: at, bytes } => {
                // mov rdi, at; mov rcx, bytes; mov al, 1; rep stosb
                code.extend([0x48, 0xbf]);
                code.extend(at.to_le_bytes());
                code.extend([0x48, 0xb9]);
                code.extend(bytes.to_le_bytes());
                code.extend([0xb0, 0x01, 0xf3, 0xaa]);
            }
            ProgramStep::Put { address: at, word } => {
                // mov rdi, at; mov rax, word; mov [rdi], rax
                code.extend([0x48, 0xbf]);
                code.extend(at.to_le_bytes());
                code.extend([0x48, 0xb8]);
                code.extend(word.to_le_bytes());
                code.extend([0x48, 0x89, 0x07]);
            }
            ProgramStep::RepeatCall { number, values, times, counts } => {
                push_call_loop(&mut code, *number, values, *times, *counts);
            }
            ProgramStep::ExitUnlessChild => push_unless_zero(&mut code, &exit_instructions(EXIT, 0)),
            ProgramStep::Processes(count) => push_processes(&mut code, *count),
            ProgramStep::Hold => {
                push_checked_call(
                    &mut code,
                    SyscallMethod::Syscall,
                    WRITE,
                    &number_arguments(&[1, BASE_ADDRESS + ELF_HEADERS_BYTES, 1]),
                );
                push_checked_call(
                    &mut code,
                    SyscallMethod::Syscall,
                    READ,
                    &number_arguments(&[0, BASE_ADDRESS + ELF_HEADERS_BYTES, 1]),
                );
            }
        }
    }
    code.extend(exit_instructions(EXIT_GROUP, 0));
    elf_file(&code)
}

/// Returns the number of the program's processes that hold resources at the same time. Each `fork` step
/// doubles this number.
pub(super) fn count_holder_processes(steps: &[ProgramStep]) -> u32 {
    let forks = steps.iter().filter(|step| matches!(step, ProgramStep::Call { number: FORK, .. })).count();
    if steps.contains(&ProgramStep::Hold) { 1 << forks } else { 0 }
}

fn number_arguments(numbers: &[u64]) -> [SyscallArgument; 6] {
    [0, 1, 2, 3, 4, 5].map(|at| SyscallArgument::Number(numbers.get(at).copied().unwrap_or(0)))
}

/// Adds a system call, and an exit with code 1 if the call fails.
fn push_checked_call(code: &mut Vec<u8>, method: SyscallMethod, number: u32, values: &[SyscallArgument; 6]) {
    push_values(code, values);
    push_raw_call(code, method, number);
    let sign: &[u8] = match method {
        // test rax, rax
        SyscallMethod::Syscall => &[0x48, 0x85, 0xc0],
        // test eax, eax
        SyscallMethod::Interrupt => &[0x85, 0xc0],
    };
    let end = exit_instructions(EXIT_GROUP, 1);
    code.extend(sign);
    // jns over the end
    code.extend([0x79, u8::try_from(end.len()).unwrap_or_default()]);
    code.extend(end);
}

/// Loads the arguments of a call into their registers.
fn push_values(code: &mut Vec<u8>, values: &[SyscallArgument; 6]) {
    // mov rdi | rsi | rdx | r10 | r8 | r9, value
    const LOAD_OPCODES: [[u8; 2]; 6] =
        [[0x48, 0xbf], [0x48, 0xbe], [0x48, 0xba], [0x49, 0xba], [0x49, 0xb8], [0x49, 0xb9]];
    // add rdi | rsi | rdx | r10 | r8 | r9, r15
    const ADD_RESULT_OPCODES: [[u8; 3]; 6] = [
        [0x4c, 0x01, 0xff],
        [0x4c, 0x01, 0xfe],
        [0x4c, 0x01, 0xfa],
        [0x4d, 0x01, 0xfa],
        [0x4d, 0x01, 0xf8],
        [0x4d, 0x01, 0xf9],
    ];
    // add rdi | rsi | rdx | r10 | r8 | r9, r14
    const ADD_COUNTER_OPCODES: [[u8; 3]; 6] = [
        [0x4c, 0x01, 0xf7],
        [0x4c, 0x01, 0xf6],
        [0x4c, 0x01, 0xf2],
        [0x4d, 0x01, 0xf2],
        [0x4d, 0x01, 0xf0],
        [0x4d, 0x01, 0xf1],
    ];
    for (((place, added), turned), value) in
        LOAD_OPCODES.iter().zip(ADD_RESULT_OPCODES).zip(ADD_COUNTER_OPCODES).zip(values)
    {
        let (SyscallArgument::Number(number)
        | SyscallArgument::StoredResult(number)
        | SyscallArgument::CounterValue { from: number, .. }) = value;
        if let SyscallArgument::CounterValue { step, .. } = value {
            // mov r14, step; imul r14, r12
            code.extend([0x49, 0xbe]);
            code.extend(step.to_le_bytes());
            code.extend([0x4d, 0x0f, 0xaf, 0xf4]);
        }
        code.extend(place);
        code.extend(number.to_le_bytes());
        match value {
            SyscallArgument::Number(_) => {}
            SyscallArgument::StoredResult(_) => code.extend(added),
            SyscallArgument::CounterValue { .. } => code.extend(turned),
        }
    }
}

/// Adds a loop that repeats a call until the kernel refuses the call or `times` calls were made. If `counts`
/// is true, the loop's code reports the number of calls.
fn push_call_loop(code: &mut Vec<u8>, number: u32, values: &[SyscallArgument; 6], times: u32, counts: bool) {
    // cmp r12, times
    let compare = |code: &mut Vec<u8>| {
        code.extend([0x49, 0x81, 0xfc]);
        code.extend(times.to_le_bytes());
    };
    // xor r12d, r12d
    code.extend([0x45, 0x31, 0xe4]);
    let again = code.len();
    push_values(code, values);
    push_raw_call(code, SyscallMethod::Syscall, number);
    // test rax, rax; js over the rest: inc r12; cmp; jb again
    code.extend([0x48, 0x85, 0xc0, 0x78, 3 + 7 + 6]);
    code.extend([0x49, 0xff, 0xc4]);
    compare(code);
    code.extend([0x0f, 0x82]);
    let back = i32::try_from(code.len() + 4 - again).unwrap_or_default();
    code.extend((-back).to_le_bytes());
    if counts {
        // sub rsp, 16; mov byte [rsp], OBJECT_COUNT_MARK; mov [rsp + 1], r12
        code.extend([
            0x48,
            0x83,
            0xec,
            0x10,
            0xc6,
            0x04,
            0x24,
            OBJECT_COUNT_MARK,
            0x4c,
            0x89,
            0x64,
            0x24,
            0x01,
        ]);
        // mov edi, 1; mov rsi, rsp; mov edx, 9
        code.extend([0xbf, 1, 0, 0, 0, 0x48, 0x89, 0xe6, 0xba, 9, 0, 0, 0]);
        push_raw_call(code, SyscallMethod::Syscall, WRITE);
        // add rsp, 16
        code.extend([0x48, 0x83, 0xc4, 0x10]);
    }
    compare(code);
    let end = exit_instructions(EXIT_GROUP, 1);
    // jae over the end
    code.extend([0x73, u8::try_from(end.len()).unwrap_or_default()]);
    code.extend(end);
}

fn push_raw_call(code: &mut Vec<u8>, method: SyscallMethod, number: u32) {
    // mov eax, number
    code.push(0xb8);
    code.extend(number.to_le_bytes());
    code.extend(match method {
        SyscallMethod::Syscall => [0x0f, 0x05],
        SyscallMethod::Interrupt => [0xcd, 0x80],
    });
}

/// Returns the instructions that exit with this code. `number` is the system call: `exit` or `exit_group`.
fn exit_instructions(number: u32, exit_code: u32) -> Vec<u8> {
    // mov edi, with
    let mut code = vec![0xbf];
    code.extend(exit_code.to_le_bytes());
    push_raw_call(&mut code, SyscallMethod::Syscall, number);
    code
}

/// Adds instructions that are skipped if the last call returned zero.
fn push_unless_zero(code: &mut Vec<u8>, bytes: &[u8]) {
    // test rax, rax; jz over them
    code.extend([0x48, 0x85, 0xc0, 0x74, u8::try_from(bytes.len()).unwrap_or_default()]);
    code.extend(bytes);
}

fn push_processes(code: &mut Vec<u8>, count: u32) {
    // mov r12d, count
    code.extend([0x41, 0xbc]);
    code.extend(count.to_le_bytes());
    let again = code.len();
    push_checked_call(code, SyscallMethod::Syscall, FORK, &number_arguments(&[]));
    // test rax, rax; jnz over the instructions of the child
    let mut waits = Vec::new();
    push_raw_call(&mut waits, SyscallMethod::Syscall, PAUSE);
    waits.extend(exit_instructions(EXIT_GROUP, 0));
    code.extend([0x48, 0x85, 0xc0, 0x75, u8::try_from(waits.len()).unwrap_or_default()]);
    code.extend(waits);
    // dec r12d; jnz again
    code.extend([0x41, 0xff, 0xcc, 0x0f, 0x85]);
    let back = i32::try_from(code.len() + 4 - again).unwrap_or_default();
    code.extend((-back).to_le_bytes());
}

/// Builds an ELF file with one segment, which is readable, writable and executable.
fn elf_file(code: &[u8]) -> Vec<u8> {
    let start = ELF_HEADERS_BYTES + ALIGNED_HOLDING_MARK.len() as u64;
    let length = start + code.len() as u64;
    let mut file = Vec::new();
    file.extend(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // A program for x86-64, version 1.
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [BASE_ADDRESS + start, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0]);
    for half in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    // A loadable segment: executable, writable and readable.
    for word in [1_u32, 7] {
        file.extend(word.to_le_bytes());
    }
    for word in [0, BASE_ADDRESS, BASE_ADDRESS, length, length, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(ALIGNED_HOLDING_MARK);
    file.extend(code);
    file
}

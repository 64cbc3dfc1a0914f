//! Performs the calls of a job's TCP sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, listen, socket_with, sockopt};
use truing_seccomp::SuspendedCall;

use super::{CallMediator, low_bits};

/// Maximum time that a connection to a server of the job may take. It takes longer only if the server's queue
/// is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of sockets that have an address but do not listen. The mediator keeps a copy of each.
const MAX_BOUND_SOCKETS: usize = 256;
/// Number of bytes of the longest supported address, an IPv6 address.
const MAX_ADDRESS_BYTES: usize = 28;
/// The state of a listening socket in the kernel's table of sockets.
const LISTEN_STATE: &str = "0A";
/// The kernel's tables of the machine's TCP sockets.
const SOCKET_TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

impl CallMediator {
    /// Connects to a loopback address on which a socket of the job listens. As in an empty network, another
    /// port of a loopback address refuses the connection, and there is no route to another address.
    pub(super) fn connect_socket(&self, call: &SuspendedCall) -> Result<i64, Errno> {
        let descriptor = self.socket_descriptor(call)?;
        let address = self.read_address(call)?;
        if !canonical_ip(address.ip()).is_loopback() {
            return Err(Errno::NETUNREACH);
        }
        if !self.has_listener(address) {
            return Err(Errno::CONNREFUSED);
        }
        let socket = new_socket(address)?;
        let connected = match connect(&socket, &address) {
            Err(Errno::INPROGRESS) if descriptor.is_nonblocking => Err(Errno::INPROGRESS),
            Err(Errno::INPROGRESS) => wait_for_connection(&socket),
            result => result,
        };
        // The listener may have closed its socket after the check, and another process may now use the port.
        if !self.has_listener(address) {
            return Err(Errno::CONNREFUSED);
        }
        if matches!(connected, Ok(()) | Err(Errno::INPROGRESS)) {
            self.replace_socket(call, &socket, &descriptor)?;
        }
        connected.map(|()| 0)
    }

    /// Gives a socket a loopback address. The address that stands for all addresses of the machine becomes
    /// the loopback address.
    pub(super) fn bind_socket(&mut self, call: &SuspendedCall) -> Result<i64, Errno> {
        let descriptor = self.socket_descriptor(call)?;
        let mut address = self.read_address(call)?;
        address.set_ip(match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            // A socket with this address also accepts connections to the loopback address of IPv4.
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
            ip if canonical_ip(ip).is_loopback() => ip,
            IpAddr::V4(_) | IpAddr::V6(_) => return Err(Errno::ADDRNOTAVAIL),
        });
        let socket = bound_socket(address)?;
        self.replace_socket(call, &socket, &descriptor)?;
        if self.bound_sockets.len() >= MAX_BOUND_SOCKETS {
            self.bound_sockets.pop_first();
        }
        self.bound_sockets.insert(inode_number(&socket)?, socket);
        Ok(0)
    }

    /// Makes a socket listen. A socket without an address gets a free port of the loopback address.
    pub(super) fn listen_on_socket(&mut self, call: &SuspendedCall) -> Result<i64, Errno> {
        let descriptor = self.socket_descriptor(call)?;
        let [_, backlog, ..] = call.arguments;
        if self.listening_sockets.contains(&descriptor.inode) {
            return Ok(0);
        }
        let (socket, is_new) = match self.bound_sockets.remove(&descriptor.inode) {
            Some(socket) => (socket, false),
            None => (bound_socket((Ipv4Addr::LOCALHOST, 0).into())?, true),
        };
        listen(&socket, low_bits(backlog))?;
        if is_new {
            self.replace_socket(call, &socket, &descriptor)?;
        }
        self.listening_sockets.insert(inode_number(&socket)?);
        Ok(0)
    }

    /// Returns true if a socket to which the job may connect listens on this address. The port alone does not
    /// suffice, because another program may use the same port of another loopback address.
    fn has_listener(&self, address: SocketAddr) -> bool {
        SOCKET_TABLES.iter().any(|path| {
            let table = std::fs::read_to_string(path).unwrap_or_default();
            find_listeners(&table, address).any(|inode| self.listening_sockets.contains(&inode))
        })
    }

    fn socket_descriptor(&self, call: &SuspendedCall) -> Result<SocketDescriptor, Errno> {
        let thread = call.thread_id;
        let [number, ..] = call.arguments;
        let number = low_bits(number).unsigned_abs();
        let target = std::fs::read_link(format!("/proc/{thread}/fd/{number}")).map_err(|_| Errno::BADF)?;
        let info =
            std::fs::read_to_string(format!("/proc/{thread}/fdinfo/{number}")).map_err(|_| Errno::BADF)?;
        let inode = parse_socket_inode(&target.to_string_lossy()).ok_or(Errno::NOTSOCK)?;
        let flags = parse_open_flags(&info).ok_or(Errno::BADF)?;
        if !self.listener.is_suspended(call) {
            return Err(Errno::INTR);
        }
        Ok(SocketDescriptor {
            number,
            inode,
            is_nonblocking: flags & OFlags::NONBLOCK.bits() != 0,
            close_on_exec: flags & OFlags::CLOEXEC.bits(),
        })
    }

    fn read_address(&self, call: &SuspendedCall) -> Result<SocketAddr, Errno> {
        let [_, pointer, length, ..] = call.arguments;
        let length = usize::try_from(length).unwrap_or(MAX_ADDRESS_BYTES).min(MAX_ADDRESS_BYTES);
        let mut bytes = vec![0; length];
        self.open_memory(call)?.read_exact_at(&mut bytes, pointer).map_err(|_| Errno::FAULT)?;
        parse_address(&bytes)
    }

    fn replace_socket(
        &self,
        call: &SuspendedCall,
        socket: &OwnedFd,
        replaced: &SocketDescriptor,
    ) -> Result<(), Errno> {
        let flags = fcntl_getfl(socket)?;
        fcntl_setfl(socket, if replaced.is_nonblocking { flags } else { flags - OFlags::NONBLOCK })?;
        self.listener
            .replace_descriptor(call, socket.as_fd(), replaced.number, replaced.close_on_exec)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::ACCESS))
    }
}

/// A descriptor of a job's socket.
struct SocketDescriptor {
    number: u32,
    /// Inode number of the socket.
    inode: u64,
    is_nonblocking: bool,
    /// `O_CLOEXEC` if the kernel closes the descriptor when its process starts another program; otherwise 0.
    close_on_exec: u32,
}

fn new_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

fn bound_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = new_socket(address)?;
    // Servers set this option before they choose an address. The mediator does not see the job's options.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    bind(&socket, &address)?;
    Ok(socket)
}

fn wait_for_connection(socket: &OwnedFd) -> Result<(), Errno> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        let pause = deadline.saturating_duration_since(Instant::now());
        let pause = Timespec::try_from(pause).map_err(|_| Errno::TIMEDOUT)?;
        match poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&pause)) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) => return sockopt::socket_error(socket)?,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns the inode number of a socket.
pub(in crate::sandbox) fn inode_number(socket: impl std::os::fd::AsFd) -> Result<u64, Errno> {
    Ok(fstat(socket)?.st_ino)
}

/// Returns an IPv4 address for the notation of IPv4 addresses in IPv6.
fn canonical_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Parses the kernel's representation of an IPv4 or IPv6 address.
fn parse_address(bytes: &[u8]) -> Result<SocketAddr, Errno> {
    let array = |from: usize| bytes.get(from..from + 2).and_then(|pair| <[u8; 2]>::try_from(pair).ok());
    let family = u16::from_ne_bytes(array(0).ok_or(Errno::INVAL)?);
    let port = u16::from_be_bytes(array(2).ok_or(Errno::INVAL)?);
    let ip: IpAddr = if family == AddressFamily::INET.as_raw() {
        bytes.get(4..8).and_then(|ip| <[u8; 4]>::try_from(ip).ok()).ok_or(Errno::INVAL)?.into()
    } else if family == AddressFamily::INET6.as_raw() {
        let ip = bytes.get(8..24).and_then(|ip| <[u8; 16]>::try_from(ip).ok()).ok_or(Errno::INVAL)?;
        Ipv6Addr::from(ip).into()
    } else {
        return Err(Errno::AFNOSUPPORT);
    };
    Ok(SocketAddr::new(ip, port))
}

/// Parses the name of a socket in a process's list of descriptors (`socket:[1234]`).
fn parse_socket_inode(target: &str) -> Option<u64> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// Parses the octal flags in the kernel's information about a descriptor.
fn parse_open_flags(info: &str) -> Option<u32> {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(flags.trim(), 8).ok()
}

/// Returns the inode numbers of the sockets in the table that listen on this address.
fn find_listeners(table: &str, address: SocketAddr) -> impl Iterator<Item = u64> {
    let wanted = SocketAddr::new(canonical_ip(address.ip()), address.port());
    table.lines().skip(1).filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = *fields.get(3)? == LISTEN_STATE && parse_table_address(fields.get(1)?)? == wanted;
        if listens { fields.get(9)?.parse().ok() } else { None }
    })
}

/// Parses an address in the kernel's table of sockets: the words of the address as numbers of this machine,
/// and the port, in hexadecimal.
fn parse_table_address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let mut octets = Vec::with_capacity(words.len() / 2);
    for index in 0..words.len() / 8 {
        let word = words.get(index * 8..index * 8 + 8)?;
        octets.extend(u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
    }
    let ip: IpAddr = match <[u8; 4]>::try_from(octets.as_slice()) {
        Ok(octets) => octets.into(),
        Err(_) => <[u8; 16]>::try_from(octets.as_slice()).ok()?.into(),
    };
    Some(SocketAddr::new(canonical_ip(ip), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_the_kernel_reads_it() {
        let v4 = [&2_u16.to_ne_bytes()[..], &[0x1f, 0x90, 127, 0, 0, 1], &[0; 8]].concat();
        assert_eq!(parse_address(&v4), Ok("127.0.0.1:8080".parse().unwrap()));
        let loopback = Ipv6Addr::LOCALHOST.octets();
        let v6 = [&10_u16.to_ne_bytes()[..], &[0, 80, 0, 0, 0, 0], &loopback, &[0; 4]].concat();
        assert_eq!(parse_address(&v6), Ok("[::1]:80".parse().unwrap()));
        assert_eq!(parse_address(&v6[..20]), Err(Errno::INVAL));
        assert_eq!(parse_address(&[]), Err(Errno::INVAL));
        let unix = [&1_u16.to_ne_bytes()[..], b"/tmp/socket"].concat();
        assert_eq!(parse_address(&unix), Err(Errno::AFNOSUPPORT));
    }

    #[test]
    fn only_a_listening_socket_with_the_same_address_is_found() {
        let word = |octets: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(octets));
        let localhost = word([127, 0, 0, 1]);
        let mapped = format!("{}{}{}{localhost}", word([0; 4]), word([0; 4]), word([0, 0, 0xff, 0xff]));
        let row = |address: &str, state: &str, inode: u32| {
            format!(
                " 0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n"
            )
        };
        let table = [
            " sl local_address rem_address st tx_queue:rx_queue tr:when retrnsmt uid timeout inode\n"
                .to_owned(),
            row(&format!("{localhost}:1F90"), LISTEN_STATE, 17),
            row(&format!("{localhost}:1F90"), "01", 18),
            row(&format!("{localhost}:0050"), LISTEN_STATE, 19),
            row(&format!("{}:1F90", word([127, 0, 0, 2])), LISTEN_STATE, 20),
            row(&format!("{mapped}:1F90"), LISTEN_STATE, 21),
            " 4: short\n".to_owned(),
        ]
        .concat();
        let found = |address: &str| find_listeners(&table, address.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(found("127.0.0.1:8080"), [17, 21]);
        assert_eq!(found("[::ffff:127.0.0.1]:8080"), [17, 21]);
        assert_eq!(found("127.0.0.2:8080"), [20]);
        assert_eq!(found("[::1]:8080"), [0; 0]);
        assert_eq!(found("127.0.0.1:81"), [0; 0]);
    }

    #[test]
    fn flags_and_inodes_of_descriptors_are_parsed() {
        assert_eq!(parse_open_flags("pos:\t0\nflags:\t02004002\nmnt_id:\t9\n"), Some(0o2_004_002));
        assert_eq!(parse_open_flags("pos:\t0\n"), None);
        assert_eq!(parse_socket_inode("socket:[123]"), Some(123));
        assert_eq!(parse_socket_inode("pipe:[123]"), None);
    }
}

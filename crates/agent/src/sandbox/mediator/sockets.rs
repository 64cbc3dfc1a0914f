//! Performs the calls of a job's TCP sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, listen, socket_with, sockopt,
};
use truing_seccomp::SuspendedCall;

use super::socket_table::listening_inodes;
use super::{CallMediator, low_bits};

/// Maximum time that a connection to a server of the job may take. It takes longer only if the server's queue
/// is full.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of connections that wait until a server accepts them. The kernel keeps the data that was
/// sent on such a connection, although no process has it open.
const MAX_WAITING_CONNECTIONS: i32 = 64;
/// Size of a socket's buffers in bytes; the kernel doubles it.
const BUFFER_BYTES: usize = 64 << 10;
/// Maximum number of sockets of each kind that the mediator remembers.
const MAX_REMEMBERED_SOCKETS: usize = 10_000;
/// Number of bytes of the longest supported address, an IPv6 address.
const MAX_ADDRESS_BYTES: usize = 28;

impl CallMediator {
    /// Connects to a loopback address on which a socket of the job listens. As in an empty network, another
    /// port of a loopback address refuses the connection, and there is no route to another address.
    pub(super) fn connect_socket(&mut self, call: &SuspendedCall) -> Result<i64, Errno> {
        let descriptor = self.socket_descriptor(call)?;
        let address = loopback_address(self.read_address(call)?).ok_or(Errno::NETUNREACH)?;
        if self.connected_sockets.contains(&descriptor.inode) {
            return Err(Errno::ISCONN);
        }
        // A server on all addresses of IPv6 has the loopback address of IPv4 here; see `bind_socket`.
        let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), address.port());
        let is_v6_loopback = address.ip() == Ipv6Addr::LOCALHOST;
        let address = match self.has_listener(address) {
            true => address,
            false if is_v6_loopback && self.has_listener(mapped) => mapped,
            false => return Err(Errno::CONNREFUSED),
        };
        let socket = open_socket(address)?;
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
            self.connected_sockets.insert(inode_number(&socket)?);
            if self.connected_sockets.len() > MAX_REMEMBERED_SOCKETS {
                self.connected_sockets.pop_first();
            }
        }
        connected.map(|()| 0)
    }

    /// Gives a socket a loopback address. The address that stands for all addresses of the machine becomes
    /// the loopback address.
    pub(super) fn bind_socket(&mut self, call: &SuspendedCall) -> Result<i64, Errno> {
        let descriptor = self.socket_descriptor(call)?;
        let address = loopback_address(self.read_address(call)?).ok_or(Errno::ADDRNOTAVAIL)?;
        let socket = open_bound_socket(address)?;
        self.replace_socket(call, &socket, &descriptor)?;
        let bound = SocketAddr::try_from(getsockname(&socket)?).map_err(|_| Errno::INVAL)?;
        self.bound_addresses.insert(inode_number(&socket)?, bound);
        if self.bound_addresses.len() > MAX_REMEMBERED_SOCKETS {
            self.bound_addresses.pop_first();
        }
        Ok(0)
    }

    /// Makes a socket listen. A socket without an address gets a free port of the loopback address.
    pub(super) fn listen_on_socket(&mut self, call: &SuspendedCall) -> Result<i64, Errno> {
        let descriptor = self.socket_descriptor(call)?;
        let [_, backlog, ..] = call.arguments;
        if self.listening_sockets.contains(&descriptor.inode) {
            return Ok(0);
        }
        if self.listening_sockets.len() >= MAX_REMEMBERED_SOCKETS {
            return Err(Errno::NOBUFS);
        }
        let bound = self.bound_addresses.remove(&descriptor.inode);
        let socket = open_bound_socket(bound.unwrap_or((Ipv4Addr::LOCALHOST, 0).into()))?;
        listen(&socket, low_bits(backlog).min(MAX_WAITING_CONNECTIONS))?;
        self.replace_socket(call, &socket, &descriptor)?;
        self.listening_sockets.insert(inode_number(&socket)?);
        Ok(0)
    }

    /// Returns true if a socket to which the job may connect listens on this address. The port alone does not
    /// suffice, because another program may use the same port of another loopback address.
    fn has_listener(&self, address: SocketAddr) -> bool {
        listening_inodes(address).iter().any(|inode| self.listening_sockets.contains(inode))
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

fn open_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, None)?;
    // The connections that a server accepts have buffers of the same sizes.
    sockopt::set_socket_recv_buffer_size(&socket, BUFFER_BYTES)?;
    sockopt::set_socket_send_buffer_size(&socket, BUFFER_BYTES)?;
    Ok(socket)
}

fn open_bound_socket(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = open_socket(address)?;
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

/// Returns the loopback address that an address means for a job, whose network has no other address. The
/// address that stands for all addresses of IPv6 becomes the one of IPv4, on which a socket of IPv6 also
/// accepts connections of IPv4. Returns `None` for addresses outside.
fn loopback_address(address: SocketAddr) -> Option<SocketAddr> {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    ip.to_canonical().is_loopback().then(|| SocketAddr::new(ip, address.port()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_kernel_addresses() {
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
    fn parses_flags_and_inodes_of_descriptors() {
        assert_eq!(parse_open_flags("pos:\t0\nflags:\t02004002\nmnt_id:\t9\n"), Some(0o2_004_002));
        assert_eq!(parse_open_flags("pos:\t0\n"), None);
        assert_eq!(parse_socket_inode("socket:[123]"), Some(123));
        assert_eq!(parse_socket_inode("pipe:[123]"), None);
    }
}

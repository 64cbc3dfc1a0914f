//! Finds the listening sockets of an address in the kernel's table of TCP sockets.

use std::io;
use std::net::{IpAddr, SocketAddr};

use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// Type of a request for a socket, and of its response (`SOCK_DIAG_BY_FAMILY` in `sock_diag(7)`).
const SOCKET_MESSAGE_TYPE: u16 = 20;
/// Number of bytes of a request: the header, and `inet_diag_req_v2`.
const REQUEST_BYTES: u32 = 16 + 56;
/// Flag of each request.
const REQUEST_FLAG: u16 = 1;
/// The state of a listening socket as a number, and in the tables as text.
const LISTEN_STATE: u8 = 10;
const LISTEN_STATE_TEXT: &str = "0A";
/// Offsets in a response: the type of the message, the state of the socket, and its inode number.
const TYPE_OFFSET: usize = 4;
const STATE_OFFSET: usize = 17;
const INODE_OFFSET: usize = 84;
/// The kernel's tables of the machine's TCP sockets. To read them takes milliseconds.
const SOCKET_TABLES: [&str; 2] = ["/proc/self/net/tcp", "/proc/self/net/tcp6"];

/// Returns the inode numbers of the sockets that accept connections to this address.
pub(super) fn listening_inodes(address: SocketAddr) -> Vec<u64> {
    // Some kernels do not answer such requests.
    query_listener(address).map(|inode| inode.into_iter().collect()).unwrap_or_else(|_| {
        let tables = SOCKET_TABLES.map(|path| std::fs::read_to_string(path).unwrap_or_default());
        tables.iter().flat_map(|table| find_listeners(table, address)).collect()
    })
}

/// Asks the kernel for the socket that would accept a connection to this address.
fn query_listener(address: SocketAddr) -> io::Result<Option<u64>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(netlink::SOCK_DIAG))?;
    sendto(&socket, &request_bytes(address), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut response = [0; 512];
    let (received, _) = recv(&socket, &mut response, RecvFlags::empty())?;
    let response = response.get(..received).unwrap_or_default();
    let bytes = |offset: usize, count: usize| response.get(offset..offset + count);
    let message_type = bytes(TYPE_OFFSET, 2).and_then(|bytes| <[u8; 2]>::try_from(bytes).ok());
    if message_type.map(u16::from_ne_bytes) != Some(SOCKET_MESSAGE_TYPE) {
        let error = bytes(16, 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        return match error.map(i32::from_ne_bytes) {
            Some(code) if code == -libc::ENOENT => Ok(None),
            _ => Err(io::Error::other("the kernel does not answer requests for sockets")),
        };
    }
    let inode = bytes(INODE_OFFSET, 4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let listens = bytes(STATE_OFFSET, 1) == Some(&[LISTEN_STATE]);
    Ok(inode.filter(|_| listens).map(|inode| u32::from_ne_bytes(inode).into()))
}

/// Returns the request for the listening socket of an address.
fn request_bytes(address: SocketAddr) -> Vec<u8> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let ip = match address.ip() {
        IpAddr::V4(ip) => [&ip.octets()[..], &[0; 12]].concat(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let family = u8::try_from(family.as_raw()).unwrap_or_default();
    let protocol = u8::try_from(libc::IPPROTO_TCP).unwrap_or_default();
    [
        &REQUEST_BYTES.to_ne_bytes()[..],
        &SOCKET_MESSAGE_TYPE.to_ne_bytes(),
        &REQUEST_FLAG.to_ne_bytes(),
        &[0; 8],
        &[family, protocol, 0, 0],
        &(1_u32 << LISTEN_STATE).to_ne_bytes(),
        &address.port().to_be_bytes(),
        &[0; 2],
        &ip,
        &[0; 20],
        &[0xff; 8],
    ]
    .concat()
}

/// Returns the inode numbers of the sockets in the table that listen on this address.
fn find_listeners(table: &str, address: SocketAddr) -> impl Iterator<Item = u64> {
    let wanted = SocketAddr::new(address.ip().to_canonical(), address.port());
    table.lines().skip(1).filter_map(move |line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = *fields.get(3)? == LISTEN_STATE_TEXT && parse_table_address(fields.get(1)?)? == wanted;
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
    Some(SocketAddr::new(ip.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

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
            row(&format!("{localhost}:1F90"), LISTEN_STATE_TEXT, 17),
            row(&format!("{localhost}:1F90"), "01", 18),
            row(&format!("{localhost}:0050"), LISTEN_STATE_TEXT, 19),
            row(&format!("{}:1F90", word([127, 0, 0, 2])), LISTEN_STATE_TEXT, 20),
            row(&format!("{mapped}:1F90"), LISTEN_STATE_TEXT, 21),
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
    fn asks_the_kernel_for_the_listener_of_an_address() {
        assert_eq!(request_bytes("127.0.0.1:80".parse().unwrap()).len(), REQUEST_BYTES as usize);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let inode = super::super::inode_number(listener.as_fd()).unwrap();
        assert_eq!(listening_inodes(address), [inode]);
        let other = SocketAddr::new("127.0.0.2".parse().unwrap(), address.port());
        assert_eq!(listening_inodes(other), [0; 0]);
    }
}

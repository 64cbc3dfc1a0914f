//! Enables the sandbox's own loopback interface. In a new network namespace, the loopback interface is
//! disabled, but many programs, and tests in particular, connect to themselves over this interface.

use std::io;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// Netlink message to the kernel: sets interface 1 up, and requests a response.
///
/// `nlmsghdr`: length, type `RTM_NEWLINK`, flags `NLM_F_REQUEST | NLM_F_ACK`, sequence, sender.
/// `ifinfomsg`: family and type, index, flags `IFF_UP`, and the mask of changed flags.
const LINK_UP_MESSAGE: [(u32, usize); 9] =
    [(32, 4), (16, 2), (5, 2), (1, 4), (0, 4), (0, 4), (1, 4), (1, 4), (1, 4)];
/// Offset of the error code in a response, after the header.
const ERROR_CODE_OFFSET: usize = 16;

/// Enables the interface. The socket is opened without a protocol number, because the default protocol of a
/// netlink socket is the needed one (`NETLINK_ROUTE`).
pub(super) fn enable_loopback() -> io::Result<()> {
    let kernel = SocketAddrNetlink::new(0, 0);
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sendto(&socket, &message_bytes(), SendFlags::empty(), &kernel)?;
    let mut answer = [0; 256];
    let (received, _) = recv(&socket, &mut answer, RecvFlags::empty())?;
    match answer.get(..received).and_then(|received| received.get(ERROR_CODE_OFFSET..ERROR_CODE_OFFSET + 4)) {
        Some([0, 0, 0, 0]) => Ok(()),
        Some(_) | None => Err(io::Error::other("the kernel does not turn the loopback interface on")),
    }
}

/// Returns the message in the machine's byte order.
fn message_bytes() -> Vec<u8> {
    let word = |(value, size): (u32, usize)| match size {
        2 => u16::try_from(value).unwrap_or_default().to_ne_bytes().to_vec(),
        _ => value.to_ne_bytes().to_vec(),
    };
    LINK_UP_MESSAGE.into_iter().flat_map(word).collect()
}

//! A TCP socket that never waits, never raises SIGPIPE, and counts its bytes.

use std::ffi::{c_int, CStr};
use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

pub struct Socket {
    fd: OwnedFd,
    /// Bytes that the kernel has accepted.
    pub sent: u64,
    /// Bytes that were received.
    pub received: u64,
}

impl Socket {
    /// Begins to connect, through a network interface if one is named.
    pub fn connect(address: &SocketAddr, interface: Option<&CStr>) -> io::Result<Socket> {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        // SAFETY: a system call on numbers.
        let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else's.
        let fd = off_standard(unsafe { OwnedFd::from_raw_fd(fd) })?;
        let socket = Socket { fd, sent: 0, received: 0 };
        socket.set(libc::IPPROTO_TCP, libc::TCP_NODELAY, &1i32.to_ne_bytes())?;
        if let Some(name) = interface {
            socket.set(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.to_bytes())?;
        }
        let (address, length) = system_address(address);
        // SAFETY: the address lives across the call and is `length` bytes long.
        let rc = unsafe { libc::connect(socket.raw(), (&raw const address).cast(), length) };
        match (rc, io::Error::last_os_error()) {
            (0, _) => Ok(socket),
            (_, error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => Ok(socket),
            (_, error) => Err(error),
        }
    }

    /// Whether the attempt to connect has ended. The kernel reports no error for an attempt that is still in progress,
    /// so this checks for an event of the socket first.
    pub fn is_connected(&self) -> io::Result<bool> {
        let mut poll = libc::pollfd { fd: self.raw(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: one pollfd, which lives across the call.
        if unsafe { libc::poll(&mut poll, 1, 0) } < 1 {
            return Ok(false);
        }
        let (mut error, mut length) = (0 as c_int, size_of::<c_int>() as libc::socklen_t);
        // SAFETY: `error` is as large as the option, and `length` says so.
        let rc = unsafe {
            let place = (&raw mut error).cast();
            libc::getsockopt(self.raw(), libc::SOL_SOCKET, libc::SO_ERROR, place, &mut length)
        };
        match (rc, error) {
            (0, 0) => Ok(true),
            (0, code) => Err(io::Error::from_raw_os_error(code)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Bytes that the peer has not confirmed; 0 if the system does not report it.
    pub fn unconfirmed(&self) -> u64 {
        let mut bytes: c_int = 0;
        // SAFETY: the request writes one int.
        let rc = unsafe { libc::ioctl(self.raw(), libc::TIOCOUTQ, &raw mut bytes) };
        if rc == 0 {
            bytes.max(0) as u64
        } else {
            0
        }
    }

    /// Sends several pieces with one call.
    pub fn send_all(&mut self, parts: &[libc::iovec]) -> io::Result<usize> {
        // SAFETY: all zeros is a valid msghdr: nothing but the pieces set below.
        let mut message = unsafe { MaybeUninit::<libc::msghdr>::zeroed().assume_init() };
        message.msg_iov = parts.as_ptr().cast_mut();
        message.msg_iovlen = parts.len() as _;
        // SAFETY: the pieces are valid by the callers' promise (see table.rs), and the kernel only reads them.
        let rc = again(|| unsafe { libc::sendmsg(self.raw(), &message, libc::MSG_NOSIGNAL) })?;
        self.sent += rc as u64;
        Ok(rc)
    }

    fn set(&self, level: c_int, option: c_int, value: &[u8]) -> io::Result<()> {
        // SAFETY: the value lives across the call, and its length is its own.
        let rc = unsafe {
            libc::setsockopt(self.raw(), level, option, value.as_ptr().cast(), value.len() as libc::socklen_t)
        };
        if rc == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer is writable, and its length is its own.
        let rc = again(|| unsafe { libc::recv(self.raw(), buffer.as_mut_ptr().cast(), buffer.len(), 0) })?;
        self.received += rc as u64;
        Ok(rc)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // SAFETY: the bytes are readable, and their length is their own.
        let send = || unsafe { libc::send(self.raw(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
        let rc = again(send)?;
        self.sent += rc as u64;
        Ok(rc)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Repeats a call that a signal has interrupted.
fn again(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(bytes) => return Ok(bytes),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Moves a descriptor above the three standard ones. If a process has closed those, its output would otherwise go to
/// the broker.
fn off_standard(fd: OwnedFd) -> io::Result<OwnedFd> {
    if fd.as_raw_fd() > 2 {
        return Ok(fd);
    }
    // SAFETY: a system call on numbers.
    let moved = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
    if moved < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(moved) })
}

fn system_address(address: &SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: all zeros is a valid sockaddr_storage.
    let mut storage = unsafe { MaybeUninit::<libc::sockaddr_storage>::zeroed().assume_init() };
    let place = &raw mut storage;
    let length = match address {
        SocketAddr::V4(v4) => {
            // SAFETY: the storage is as large as any address, and aligned for all of them.
            let place = unsafe { &mut *place.cast::<libc::sockaddr_in>() };
            place.sin_family = libc::AF_INET as libc::sa_family_t;
            place.sin_port = v4.port().to_be();
            place.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            // SAFETY: as above.
            let place = unsafe { &mut *place.cast::<libc::sockaddr_in6>() };
            place.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            place.sin6_port = v6.port().to_be();
            place.sin6_addr.s6_addr = v6.ip().octets();
            place.sin6_flowinfo = v6.flowinfo();
            place.sin6_scope_id = v6.scope_id();
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, length as libc::socklen_t)
}

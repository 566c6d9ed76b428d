//! How Paho's C code calls a [`Link`]: a table of functions, as declared in `c/enos_link.h`.

use crate::link::{Link, Progress, Sign};
use std::ffi::{c_char, c_int, c_uchar, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Paho's TCPSOCKET_COMPLETE, TCPSOCKET_INTERRUPTED and SOCKET_ERROR.
const COMPLETE: c_int = 0;
const INTERRUPTED: c_int = -22;
const ERROR: c_int = -1;
/// More pieces than any packet of Paho has.
const PIECES: usize = 8;

/// Every function takes the address of a [`Link`], which no other thread uses during the call.
#[repr(C)]
pub struct Table {
    begin: unsafe extern "C" fn(*mut c_void, c_int),
    connect: unsafe extern "C" fn(*mut c_void) -> c_int,
    packet: unsafe extern "C" fn(*mut c_void, *mut c_uchar, *mut *mut c_char, *mut usize) -> c_int,
    put: unsafe extern "C" fn(*mut c_void, *const libc::iovec, c_int) -> c_int,
    flush: unsafe extern "C" fn(*mut c_void) -> c_int,
    is_free: unsafe extern "C" fn(*mut c_void) -> c_int,
    look: unsafe extern "C" fn(*mut c_void) -> c_int,
    rest: unsafe extern "C" fn(*mut c_void),
    close: unsafe extern "C" fn(*mut c_void),
}

pub static TABLE: Table = Table { begin, connect, packet, put, flush, is_free, look, rest, close };

/// Calls the link. A panic must not unwind into C; it ends the connection.
///
/// # Safety
/// `link` is the address of a [`Link`] that no other thread uses during the call.
unsafe fn with<R>(link: *mut c_void, failed: R, call: impl FnOnce(&mut Link) -> R) -> R {
    // SAFETY: the caller's promise.
    let link = unsafe { &mut *link.cast::<Link>() };
    catch_unwind(AssertUnwindSafe(|| call(link))).unwrap_or(failed)
}

fn code(progress: Progress) -> c_int {
    match progress {
        Progress::Done => COMPLETE,
        Progress::Wait => INTERRUPTED,
        Progress::Lost => ERROR,
    }
}

unsafe extern "C" fn begin(link: *mut c_void, ready: c_int) {
    // SAFETY: Paho calls with the link that it was given.
    unsafe { with(link, (), |link| link.begin(ready != 0)) }
}

unsafe extern "C" fn connect(link: *mut c_void) -> c_int {
    // SAFETY: as above.
    unsafe { with(link, ERROR, |link| code(link.connect())) }
}

/// The packet stays in place until the next call.
unsafe extern "C" fn packet(
    link: *mut c_void,
    header: *mut c_uchar,
    body: *mut *mut c_char,
    length: *mut usize,
) -> c_int {
    // SAFETY: as above; the three places are Paho's variables.
    unsafe {
        with(link, ERROR, |link| match link.packet() {
            Ok(Some(packet)) => {
                let bytes = link.body(&packet);
                *header = packet.header;
                *length = bytes.len();
                *body = bytes.as_mut_ptr().cast();
                COMPLETE
            }
            Ok(None) => INTERRUPTED,
            Err(_) => ERROR,
        })
    }
}

unsafe extern "C" fn put(link: *mut c_void, pieces: *const libc::iovec, count: c_int) -> c_int {
    let count = usize::try_from(count).unwrap_or(0).min(PIECES);
    // SAFETY: Paho passes `count` pieces, each of them readable for its length, or of length 0.
    unsafe {
        let mut parts = [&[][..]; PIECES];
        for (index, part) in parts.iter_mut().enumerate().take(count) {
            let piece = &*pieces.add(index);
            if piece.iov_len > 0 {
                *part = std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len);
            }
        }
        with(link, ERROR, |link| code(link.put(&parts[..count])))
    }
}

unsafe extern "C" fn flush(link: *mut c_void) -> c_int {
    // SAFETY: as above.
    unsafe { with(link, ERROR, |link| code(link.flush())) }
}

unsafe extern "C" fn is_free(link: *mut c_void) -> c_int {
    // SAFETY: as above.
    unsafe { with(link, 1, |link| c_int::from(link.is_free())) }
}

/// 0: all is well; 1: a PINGREQ is due; -1: the connection is lost.
unsafe extern "C" fn look(link: *mut c_void) -> c_int {
    // SAFETY: as above.
    unsafe {
        with(link, ERROR, |link| match link.look() {
            Sign::Fine => COMPLETE,
            Sign::Ping => 1,
            Sign::Lost => ERROR,
        })
    }
}

unsafe extern "C" fn rest(link: *mut c_void) {
    // SAFETY: as above.
    unsafe { with(link, (), Link::rest) }
}

unsafe extern "C" fn close(link: *mut c_void) {
    // SAFETY: as above.
    unsafe { with(link, (), Link::close) }
}

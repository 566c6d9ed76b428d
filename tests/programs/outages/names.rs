//! The broker's name: this program overrides the C library's getaddrinfo().

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, CStr};
use std::net::Ipv4Addr;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::time::Duration;

use super::outage::{hurried, within_budget, Device, Row};
use support::mosquitto::Mosquitto;
use support::proxy::{Proxy, Wire};

/// The known names. Other names, except addresses, cannot be resolved.
static NAMES: Mutex<BTreeMap<&str, Ipv4Addr>> = Mutex::new(BTreeMap::new());

/// # Safety
/// As the C library's.
#[no_mangle]
unsafe extern "C" fn getaddrinfo(
    name: *const c_char,
    _: *const c_char,
    _: *const libc::addrinfo,
    out: *mut *mut libc::addrinfo,
) -> c_int {
    // SAFETY: a C string.
    let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap();
    let known = || NAMES.lock().unwrap().get(name).copied();
    let Some(address) = name.parse().ok().or_else(known) else { return libc::EAI_NONAME };
    let sockaddr = Box::new(libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    });
    let found = Box::new(libc::addrinfo {
        ai_flags: 0,
        ai_family: libc::AF_INET,
        ai_socktype: libc::SOCK_STREAM,
        ai_protocol: 0,
        ai_addrlen: size_of::<libc::sockaddr_in>() as libc::socklen_t,
        ai_addr: Box::into_raw(sockaddr).cast(),
        ai_canonname: null_mut(),
        ai_next: null_mut(),
    });
    // SAFETY: a place for the result.
    unsafe { *out = Box::into_raw(found) };
    0
}

/// # Safety
/// As the C library's; of what the function above returned.
#[no_mangle]
unsafe extern "C" fn freeaddrinfo(found: *mut libc::addrinfo) {
    // SAFETY: both were boxes.
    unsafe {
        let found = Box::from_raw(found);
        drop(Box::from_raw(found.ai_addr.cast::<libc::sockaddr_in>()));
    }
}

pub fn gone() -> Row {
    const NAME: &str = "gone.example";
    let broker = Mosquitto::start();
    let proxy = Proxy::start(broker.address());
    NAMES.lock().unwrap().insert(NAME, Ipv4Addr::LOCALHOST);
    let mut device = Device::online(hurried(&format!("tcp://{NAME}:{}", proxy.address().port()), "gone"));
    let fault = || {
        NAMES.lock().unwrap().remove(NAME);
        proxy.cut();
    };
    let mend = || assert!(NAMES.lock().unwrap().insert(NAME, Ipv4Addr::LOCALHOST).is_none());
    let times = device.through(fault, Duration::from_secs(8), mend);
    let unresolved = device.losses().iter().filter(|told| told.detail.contains("cannot be resolved")).count();
    assert!(unresolved > 0, "{:?}", device.losses());
    let connects = within_budget(&proxy.connects());
    assert_eq!(connects, 1);
    let words = "The link is cut, and for 8 s the broker's name cannot be resolved. An attempt without an \
         address sends no CONNECT.";
    Row { outage: "DNS gone for 8 s", times, connects, words }
}

pub fn moved() -> Row {
    const NAME: &str = "moved.example";
    let broker = Mosquitto::start();
    let mut old = Proxy::start(broker.address());
    NAMES.lock().unwrap().insert(NAME, Ipv4Addr::LOCALHOST);
    let mut device = Device::online(hurried(&format!("tcp://{NAME}:{}", old.address().port()), "moved"));
    let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
    let new = Proxy::bind((elsewhere, old.address().port()).into(), broker.address(), Wire::Mqtt);
    let mend = || assert!(NAMES.lock().unwrap().insert(NAME, elsewhere).is_some());
    let times = device.through(|| old.close(), Duration::from_secs(3), mend);
    assert_eq!(old.connects().len(), 1);
    let connects = new.connects().len();
    within_budget(&[old.connects(), new.connects()].concat());
    let words = "The old address refuses connections. The name is looked up for each attempt, so the first \
         attempt after the change uses the new address.";
    Row { outage: "the broker's address changed after 3 s", times, connects, words }
}

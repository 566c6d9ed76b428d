//! A broker that dies, and one that hangs.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::outage::{hurried, within_budget, Device, Row, Times};
use support::mosquitto::Mosquitto;

/// The CONNECTs of a broker without a proxy, from its log since the last start.
fn logins(broker: &Mosquitto) -> usize {
    broker.count_log(&["New client connected"])
}

pub fn killed() -> Row {
    let broker = RefCell::new(Mosquitto::start());
    let mut device = Device::online(hurried(&format!("tcp://{}", broker.borrow().address()), "killed"));
    let (kill, restart) = (|| broker.borrow_mut().kill(), || broker.borrow_mut().restart());
    let times = device.through(kill, Duration::from_secs(10), restart);
    let connects = logins(&broker.borrow());
    assert_eq!(connects, 1, "attempts that nobody took are none");
    let words = "The kernel of the broker's machine resets the connection. Until the broker is back, its port \
         refuses connections: no CONNECT is sent, and the budget is not used.";
    Row { outage: "broker killed, started again after 10 s", times, connects, words }
}

pub fn restarted() -> Row {
    let broker = RefCell::new(Mosquitto::start());
    let mut device = Device::online(hurried(&format!("tcp://{}", broker.borrow().address()), "restarted"));
    let began = Instant::now();
    broker.borrow_mut().restart();
    let (told_at, told) = device.lost(began);
    let back = device.back(began);
    let connects = logins(&broker.borrow());
    assert_eq!(connects, 1);
    let times = Some(Times::new(told_at - began, &told, Some(back - began)));
    let words = "The same, but the broker is back at once.";
    Row { outage: "broker killed and restarted", times, connects, words }
}

pub fn hanging() -> Row {
    let (broker, proxy, mut device) = Device::behind_proxy("hanging");
    let stop = || broker.signal(libc::SIGSTOP);
    let times = device.through(stop, Duration::from_secs(8), || broker.signal(libc::SIGCONT));
    let connects = within_budget(&proxy.connects());
    let words = "The broker's machine answers, but the broker does not: only a keep-alive shows it. Attempts \
         meanwhile get a connection but no CONNACK, and each CONNECT counts.";
    Row { outage: "broker hangs (SIGSTOP) until 8 s after it was told", times, connects, words }
}

pub fn hanging_shortly() -> Row {
    let (broker, proxy, mut device) = Device::behind_proxy("shortly");
    broker.signal(libc::SIGSTOP);
    let token = device.publish();
    device.run_for(Duration::from_secs(5));
    broker.signal(libc::SIGCONT);
    device.delivered(token);
    assert!(device.losses().is_empty(), "{:?}", device.losses());
    let connects = within_budget(&proxy.connects());
    let words = "Too short for a keep-alive to show: the link is not lost, and messages that were published \
         meanwhile arrive.";
    Row { outage: "broker hangs for 5 s", times: None, connects, words }
}

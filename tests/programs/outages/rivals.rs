//! The same device logged in twice, with the default settings.

use std::time::{Duration, Instant};

use enos::error::Status;

use super::outage::{check_budget, hurried, Device, Row, Times, ENOS_WINDOW};
use support::mosquitto::Mosquitto;
use support::proxy::Proxy;

const LASTS: Duration = Duration::from_secs(45);

pub fn logged_in_twice() -> Row {
    // EnOS identifies a device by its keys, not by the client id, which contains the time.
    let broker = Mosquitto::start_with("allow_anonymous true\nuse_username_as_clientid true\n");
    let proxies = [Proxy::start(broker.address()), Proxy::start(broker.address())];
    let uri = |proxy: &Proxy| format!("tcp://{}", proxy.address());
    let setup = |proxy| hurried(&uri(proxy), "twice").connect_budget(3, 125_000, 1_100).reconnect(1_000, 120_000);
    let mut first = Device::online(setup(&proxies[0]));
    let began = Instant::now();
    let mut second = Device::connect(setup(&proxies[1]));
    let beside = std::thread::spawn(move || second.run_for(LASTS));
    let (told_at, told) = first.until(began, |told| told.status == Status::ENOS_ERR_CONFLICT);
    assert!(told.detail.contains("another client") && told.retry_in_ms >= 60_000, "{told:?}");
    assert!(first.losses().len() <= 3, "{:?}", first.losses());
    first.run_for(LASTS.saturating_sub(began.elapsed()));
    beside.join().unwrap();
    for proxy in &proxies {
        let connects = proxy.connects();
        assert!(connects.len() <= 3, "{} CONNECTs", connects.len());
        check_budget(&connects, ENOS_WINDOW);
    }
    let connects = proxies.iter().map(|proxy| proxy.connects().len()).sum::<usize>() - 1;
    let words = "Each login ends the connection of the other client. The client that loses three connections in \
         a row soon after the login reports ENOS_ERR_CONFLICT and backs off, for longer each time. The \
         CONNECTs are those of both clients.";
    let times = Some(Times::new(told_at - began, &told, None));
    Row { outage: "the same device logged in twice, EnOS's own budget", times, connects, words }
}

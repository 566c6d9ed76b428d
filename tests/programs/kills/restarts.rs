//! A device that dies repeatedly must not cause EnOS's ban.

use enos_sim::HmacSha1;

use super::device::{Firmware, Rig, Sky, Transport};
use support::proxy::Point;

/// The device dies `deaths` times while its first packet, the CONNECT, is in flight, and then runs on.
fn crash_loop(rig: &Rig, sky: &Sky, deaths: usize) -> (u64, u64) {
    for _ in 0..deaths {
        let run = rig.run(0, Point::After(1));
        assert!(run.killed(), "{}", run.output);
    }
    sky.connects(&rig.key)
}

#[test]
fn a_crash_loop_earns_no_ban() {
    let firmware = Firmware::build();
    let sky = Sky::new(Transport::Tcp, HmacSha1::Either, ["careful".to_owned(), "careless".to_owned()].into_iter());
    let careful = firmware.rig(&sky, "careful".into());
    assert_eq!(crash_loop(&careful, &sky, 10), (0, 10));
    let run = careful.run(0, Point::Never);
    assert!(run.status.success(), "{}", run.output);
    assert_eq!(sky.connects(&careful.key), (0, 12));
    assert_eq!(careful.stored(), sky.secret(&careful.key).as_slice());

    // Without a budget the same device is banned, which shows that the budget prevents it.
    let mut careless = firmware.rig(&sky, "careless".into());
    careless.connects = 0;
    let is_banned = (0..20).any(|_| crash_loop(&careless, &sky, 1).0 > 0);
    assert!(is_banned, "not within {} CONNECTs", sky.connects(&careless.key).1);
}

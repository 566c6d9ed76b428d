//! An activation that is killed at any point: the next process continues it with the same identity.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread;

use enos_sim::HmacSha1;
#[cfg(feature = "tls")]
use enos_sim::TlsVersion;

use super::device::{Firmware, Rig, Run, Sky, Transport};
use support::proxy::Point;

/// Devices in parallel. Each mostly waits for its connect budget.
const PARALLEL: usize = 20;

#[derive(Clone, Copy, Debug)]
enum Death {
    /// It kills itself: before or after a storage call, or in an event.
    At(usize),
    Packet(Point),
}

impl Death {
    /// The key of the device for this kill.
    fn device(self, cloud: HmacSha1) -> String {
        match self {
            Death::At(n) => format!("{cloud:?}-at-{n}"),
            Death::Packet(Point::Before(n)) => format!("{cloud:?}-before-packet-{n}"),
            Death::Packet(Point::After(n)) => format!("{cloud:?}-after-packet-{n}"),
            Death::Packet(Point::Never | Point::End(_)) => format!("{cloud:?}"),
        }
    }

    /// Whether the kill comes after this packet.
    fn is_after(self, packet: usize) -> bool {
        matches!(self, Death::Packet(Point::Before(n) | Point::After(n)) if n > packet)
    }

    fn run(self, rig: &Rig) -> Run {
        match self {
            Death::At(n) => rig.run(n, Point::Never),
            Death::Packet(point) => rig.run(0, point),
        }
    }
}

#[test]
fn killed_anywhere_the_device_comes_online_as_who_it_was() {
    every_death_with_every_cloud(Transport::Tcp);
}

#[cfg(feature = "tls")]
#[test]
fn killed_anywhere_over_tls_the_device_comes_online_as_who_it_was() {
    every_death_with_every_cloud(Transport::Tls(TlsVersion::V1_3));
    if soaking() {
        every_death_with_every_cloud(Transport::Tls(TlsVersion::V1_2));
    }
}

fn soaking() -> bool {
    std::env::var_os("ENOS_SOAK").is_some()
}

fn every_death_with_every_cloud(transport: Transport) {
    // If the cloud accepts the other method, AUTO needs one more CONNECT, which makes more points.
    let clouds = if soaking() { vec![HmacSha1::Either, HmacSha1::Plain] } else { vec![HmacSha1::Either] };
    let firmware = Firmware::build();
    for cloud in clouds {
        every_death(&firmware, transport, cloud);
    }
}

fn every_death(firmware: &Firmware, transport: Transport, cloud: HmacSha1) {
    let undisturbed = Death::Packet(Point::Never).device(cloud);
    let sky = Sky::new(transport, cloud, [undisturbed.clone()].into_iter());
    let undisturbed = firmware.rig(&sky, undisturbed);
    let run = undisturbed.run(0, Point::Never);
    assert!(run.status.success(), "{}", run.output);
    let mut deaths: Vec<Death> = (1..=run.points()).map(Death::At).collect();
    deaths.extend((1..=run.packets).flat_map(|n| [Point::Before(n), Point::After(n)]).map(Death::Packet));
    println!("{transport:?}, {cloud:?}: {} points, {} packets: {} deaths", run.points(), run.packets, deaths.len());
    let packets = if matches!(transport, Transport::Tcp) { 8 } else { 20 };
    assert!(run.points() >= 2 * 15 && run.packets >= packets, "too few to be an activation");

    let sky = Sky::new(transport, cloud, deaths.iter().map(|death| death.device(cloud)));
    // During the last packets, the device may end before the kill comes.
    let last_needed = run.packets - transport.goodbyes();
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(&death) = deaths.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let rig = firmware.rig(&sky, death.device(cloud));
                    if let Err(words) = one_death(&rig, &sky, death, death.is_after(last_needed)) {
                        found.lock().unwrap().push(format!("{death:?}: {words}"));
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{transport:?}, {cloud:?}: {found:#?}");
}

fn one_death(rig: &Rig, sky: &Sky, death: Death, may_be_late: bool) -> Result<(), String> {
    let must = |holds: bool, words: &str| if holds { Ok(()) } else { Err(words.to_owned()) };
    let first = death.run(rig);
    let was_faster = first.status.success() && may_be_late;
    must(first.killed() || was_faster, &format!("it was not killed: {}", first.output))?;

    let held = rig.stored();
    let (pushed, secret) = (sky.pushed(&rig.key), sky.secret(&rig.key));
    must(pushed <= 1 && held.len() <= 1, "the first process was activated twice")?;
    must(held.is_empty() || held == secret.as_slice(), "another secret is stored")?;

    let second = rig.run(0, Point::Never);
    must(second.status.success(), &format!("the second process ended with {}: {}", second.status, second.output))?;
    let (banned, connects) = sky.connects(&rig.key);
    must(banned == 0, &format!("{banned} of {connects} CONNECTs were too many"))?;
    let again = sky.pushed(&rig.key) - pushed;
    must(again == usize::from(held.is_empty()), &format!("{again} activations, and {} stored", held.len()))?;
    must(rig.stored() == sky.secret(&rig.key).as_slice(), "the cloud's secret is not the device's only one")
}

//! An activation that is killed somewhere: the next process goes on with it, under the same identity.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread;

use enos_sim::HmacSha1;

use crate::device::{Firmware, Rig, Run, Sky};
use crate::proxy::Point;

/// Devices at a time. Each of them mostly waits for its connect budget.
const PARALLEL: usize = 8;

#[derive(Clone, Copy, Debug)]
enum Death {
    /// By its own hand: at a storage call, before or after it, or in an event.
    At(usize),
    Packet(Point),
}

impl Death {
    /// The key of the device that dies so.
    fn device(self, cloud: HmacSha1) -> String {
        match self {
            Death::At(n) => format!("{cloud:?}-at-{n}"),
            Death::Packet(Point::Before(n)) => format!("{cloud:?}-before-packet-{n}"),
            Death::Packet(Point::After(n)) => format!("{cloud:?}-after-packet-{n}"),
            Death::Packet(Point::Never) => format!("{cloud:?}"),
        }
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
    // With a cloud that takes the other method AUTO needs a CONNECT more, which makes more points.
    let clouds = match std::env::var_os("ENOS_SOAK") {
        Some(_) => vec![HmacSha1::Either, HmacSha1::Plain],
        None => vec![HmacSha1::Either],
    };
    let firmware = Firmware::build();
    for cloud in clouds {
        every_death(&firmware, cloud);
    }
}

fn every_death(firmware: &Firmware, cloud: HmacSha1) {
    let undisturbed = Death::Packet(Point::Never).device(cloud);
    let sky = Sky::new(cloud, [undisturbed.clone()].into_iter());
    let undisturbed = firmware.rig(&sky, undisturbed);
    let run = undisturbed.run(0, Point::Never);
    assert!(run.status.success(), "{}", run.output);
    let mut deaths: Vec<Death> = (1..=run.points()).map(Death::At).collect();
    deaths.extend((1..=run.packets).flat_map(|n| [Point::Before(n), Point::After(n)]).map(Death::Packet));
    println!("{cloud:?}: {} points and {} packets: {} deaths", run.points(), run.packets, deaths.len());
    assert!(run.points() >= 2 * 15 && run.packets >= 8, "too few to be an activation");

    let sky = Sky::new(cloud, deaths.iter().map(|death| death.device(cloud)));
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(&death) = deaths.get(next.fetch_add(1, Ordering::SeqCst)) {
                    if let Err(words) = one_death(&firmware.rig(&sky, death.device(cloud)), &sky, death) {
                        found.lock().unwrap().push(format!("{death:?}: {words}"));
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{cloud:?}: {found:#?}");
}

fn one_death(rig: &Rig, sky: &Sky, death: Death) -> Result<(), String> {
    let must = |holds: bool, words: &str| if holds { Ok(()) } else { Err(words.to_owned()) };
    let first = death.run(rig);
    // The last packet is the DISCONNECT: the device may be gone before the kill comes.
    must(first.killed() || matches!(death, Death::Packet(_)), &format!("it was not killed: {}", first.output))?;

    let (current, previous, pending) = rig.stored();
    let held = current.iter().chain(&pending).count() > 0;
    let (pushed, secret) = (sky.pushed(&rig.key), sky.secret(&rig.key));
    must(pushed <= 1 && previous.is_none(), "the first process was activated twice")?;
    must(
        !held || current.iter().chain(&pending).any(|held| Some(held) == secret.as_ref()),
        "another secret is stored",
    )?;

    let second = rig.run(0, Point::Never);
    must(second.status.success(), &format!("the second process ended with {}: {}", second.status, second.output))?;
    let (banned, connects) = sky.connects(&rig.key);
    must(banned == 0, &format!("{banned} of {connects} CONNECTs were too many"))?;
    let again = sky.pushed(&rig.key) - pushed;
    must(again == usize::from(!held), &format!("{again} activations although a secret is stored: {held}"))?;
    let (current, previous, pending) = rig.stored();
    must(current.is_some() && current == sky.secret(&rig.key), "the cloud's secret is not the device's")?;
    must(previous.is_none() && pending.is_empty(), "something is left over")
}

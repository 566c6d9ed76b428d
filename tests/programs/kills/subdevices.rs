//! The activation of sub-devices that is killed at any point: the next process continues it, and no secret is lost that
//! was stored. The same for sub-devices that are registered.

use enos_sim::{Device, DeviceId, Event};
use support::host::{PRODUCT_SECRET, SUB_PRODUCT_SECRET};
use support::proxy::Point;

use super::device::{id, Firmware, Rig, Run, Sky};

const COUNT: usize = 3;

fn sub(n: usize) -> DeviceId {
    DeviceId::new("sub", format!("s{n:03}"))
}

/// A cloud for one kill.
fn sky(key: &str) -> Sky {
    let subs = (0..COUNT).map(|n| Device::inactive(sub(n), SUB_PRODUCT_SECRET).behind(id(key)));
    Sky::with([Device::inactive(id(key), PRODUCT_SECRET).gateway()].into_iter().chain(subs).collect())
}

/// How often each was logged in with the product secret.
fn activations(sky: &Sky) -> Vec<usize> {
    let is = |event: &Event| matches!(event, Event::SubDeviceLogin { secure_mode: 3, code: 200, .. });
    (0..COUNT).map(|n| sky.desk.count_of(&sub(n), is)).collect()
}

fn stored(rig: &Rig) -> Vec<Vec<String>> {
    (0..COUNT).map(|n| rig.stored_of(&sub(n))).collect()
}

fn gateway<'a>(firmware: &'a Firmware, sky: &'a Sky, key: &str) -> Rig<'a> {
    let mut rig = firmware.rig(sky, key.to_owned());
    (rig.subdevices, rig.connects) = (COUNT, 0);
    rig.product_secret_of_subdevices = Some(SUB_PRODUCT_SECRET);
    rig
}

/// Every point of a run, and every packet.
fn deaths(run: &Run) -> Vec<(usize, Point)> {
    let points = (1..=run.points()).map(|at| (at, Point::Never));
    let packets = (1..=run.packets).flat_map(|n| [Point::Before(n), Point::After(n)]).map(|point| (0, point));
    points.chain(packets).collect()
}

#[test]
fn killed_anywhere_each_sub_device_comes_online_as_who_it_was() {
    let firmware = Firmware::build();
    let whole = sky("whole");
    let run = gateway(&firmware, &whole, "whole").run(0, Point::Never);
    assert!(run.status.success(), "{}", run.output);
    let deaths = deaths(&run);
    println!("{} points, {} packets", run.points(), run.packets);
    assert!(run.points() > 60 && run.packets > 12, "too few for three activations");
    support::parallel::each(&deaths, |(at, point)| {
        let key = format!("gw-{at}-{point:?}").replace(['(', ')'], "");
        let sky = sky(&key);
        let rig = gateway(&firmware, &sky, &key);
        let first = rig.run(*at, *point);
        assert!(first.killed() || first.status.success(), "{key}: {}", first.output);
        let (held, before) = (stored(&rig), activations(&sky));
        let second = rig.run(0, Point::Never);
        assert!(second.status.success(), "{key}: {}", second.output);
        for (n, after) in activations(&sky).into_iter().enumerate() {
            let again = after - before[n];
            assert_eq!(again, usize::from(held[n].is_empty()), "{key}: {n}: stored {}", held[n].len());
            let secret = sky.desk.cloud.device(&sub(n)).unwrap().device_secret.unwrap().expose().to_owned();
            assert_eq!(rig.stored_of(&sub(n)).last(), Some(&secret), "{key}: {n}");
        }
    });
}

/// A gateway that registers its sub-devices, which it has no secrets of.
fn registrar<'a>(firmware: &'a Firmware, key: &str, sky: &'a Sky) -> Rig<'a> {
    let mut rig = firmware.rig(sky, key.to_owned());
    (rig.subdevices, rig.connects, rig.registers) = (COUNT, 0, true);
    rig
}

fn registry(key: &str) -> Sky {
    let of_product = Device::inactive(DeviceId::new("sub", "first"), SUB_PRODUCT_SECRET);
    Sky::with(vec![Device::inactive(id(key), PRODUCT_SECRET).gateway(), of_product])
}

/// What the host was told is in the storage, and works after a restart. EnOS gives a secret once, so what is killed before
/// that is lost.
#[test]
fn killed_anywhere_a_registration_has_what_was_told() {
    let firmware = Firmware::build();
    let whole = registry("whole");
    let run = registrar(&firmware, "whole", &whole).run(0, Point::Never);
    assert!(run.status.success(), "{}", run.output);
    let deaths = deaths(&run);
    assert!(run.points() > 60 && run.packets > 12, "too few for three registrations");
    support::parallel::each(&deaths, |(at, point)| {
        let key = format!("reg-{at}-{point:?}").replace(['(', ')'], "");
        let sky = registry(&key);
        let mut rig = registrar(&firmware, &key, &sky);
        let first = rig.run(*at, *point);
        assert!(first.killed() || first.status.success(), "{key}: {}", first.output);
        let held = stored(&rig).iter().filter(|secrets| !secrets.is_empty()).count();
        // The first one is that of the gateway itself.
        let told = first.output.lines().filter(|line| line.starts_with("ACTIVATED")).count().saturating_sub(1);
        let replied = first.output.lines().any(|line| line.starts_with("REPLY 0"));
        assert!(held >= told && (held == COUNT || !replied), "{key}: {held} are stored\n{}", first.output);
        assert!(held <= told + 1, "{key}: one is told before the next is stored");
        (rig.registers, rig.subdevices) = (false, held);
        let second = rig.run(0, Point::Never);
        assert!(second.status.success(), "{key}: {}", second.output);
    });
}

//! A million devices lose the cloud at once, and it returns after 10 minutes. Prints the load of the cloud, and writes
//! docs/fleet.md and docs/fleet.svg.

mod curve;
#[allow(dead_code, reason = "the table of outages has more of it")]
mod device;
mod page;
mod plot;

use std::path::Path;

use curve::Curve;
use device::{Kind, Outage, Policy};

const DEVICES: u64 = 1_000_000;

/// A kind of outage, and the fleet's curve with each policy.
pub struct Scene {
    title: &'static str,
    enos: Curve,
    doubling: Curve,
}

impl Scene {
    fn of(title: &'static str, kind: Kind) -> Scene {
        let outage = Outage { kind, lasts_ms: 600_000 };
        let of = |policy| Curve::of(policy, outage, DEVICES);
        Scene { title, enos: of(Policy::Enos), doubling: of(Policy::Doubling) }
    }
}

fn main() {
    let scenes = [
        Scene::of("The cloud refuses connections for 10 minutes", Kind::Refuses),
        Scene::of("The cloud takes connections for 10 minutes, and answers no CONNECT", Kind::Hangs),
    ];
    println!("{}", page::table(&scenes));
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    std::fs::write(docs.join("fleet.svg"), plot::svg(&scenes)).unwrap();
    std::fs::write(docs.join("fleet.md"), page::page(&scenes)).unwrap();
}

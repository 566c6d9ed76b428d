//! A small fleet after an outage: the statements of docs/fleet.md hold for ten thousand devices as well.

use super::curve::Curve;
use super::device::{Kind, Outage, Policy};

const DEVICES: u64 = 10_000;

fn curves(kind: Kind) -> [Curve; 2] {
    let outage = Outage { kind, lasts_ms: 600_000 };
    let curves = [Policy::Enos, Policy::Doubling].map(|policy| Curve::of(policy, outage, DEVICES));
    for curve in &curves {
        assert_eq!((curve.devices, curve.back.iter().sum()), (DEVICES, DEVICES), "every device comes back");
    }
    curves
}

#[test]
fn a_cloud_that_refused_gets_an_even_stream_and_no_wave() {
    let [enos, doubling] = curves(Kind::Refuses);
    assert_eq!((enos.banned, enos.peak_until(0)), (0, 0), "an attempt that is refused is no CONNECT");
    let (even, wave) = (enos.peak(enos.returns), doubling.peak(doubling.returns));
    assert!(even <= DEVICES / 40, "{even} CONNECTs in a second");
    assert!(even * 20 < wave, "{even} and {wave} CONNECTs in a second");
    assert!(enos.back_after(50) < 60 && enos.back_after(99) <= 120, "{} s", enos.back_after(99));
}

#[test]
fn a_cloud_that_hung_has_banned_nobody_and_gets_no_wave() {
    let [enos, doubling] = curves(Kind::Hangs);
    assert_eq!((enos.banned, doubling.banned), (0, DEVICES));
    // That also holds for a return at another time.
    let (away, after) = (enos.peak_until(120), enos.peak(enos.returns));
    assert!(away <= DEVICES / 5, "{away} CONNECTs in a second after two minutes");
    assert!(enos.peak_until(300) <= DEVICES / 25, "{} in a second after five", enos.peak_until(300));
    assert!(after * 20 < doubling.peak(doubling.returns), "{after} CONNECTs in a second");
    assert!(enos.back_after(99) <= 180, "{} s", enos.back_after(99));
}

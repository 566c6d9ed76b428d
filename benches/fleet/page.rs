//! docs/fleet.md: the figures, and their explanation.

use crate::plot::thousands;
use crate::{Curve, Scene};

/// By this time the first attempts, which nobody answers, are over.
const SETTLED_S: usize = 120;

pub fn table(scenes: &[Scene]) -> String {
    let mut text = "| the cloud | policy | most CONNECTs a second, from 2 minutes on | the same, once it is back | \
                    99 % back after | all back after | devices barred |\n|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (cloud, scene) in ["refuses", "hangs"].iter().zip(scenes) {
        for (policy, curve) in [("libenos", &scene.enos), ("doubling", &scene.doubling)] {
            text += &row(cloud, policy, curve);
        }
    }
    text
}

fn row(cloud: &str, policy: &str, curve: &Curve) -> String {
    let (away, after) = (curve.peak_until(SETTLED_S), curve.peak(curve.returns));
    let (most, all) = (curve.back_after(99), curve.back_after(100));
    format!(
        "| {cloud} | {policy} | {} | {} | {most} s | {all} s | {} |\n",
        thousands(away),
        thousands(after),
        thousands(curve.banned)
    )
}

pub fn page(scenes: &[Scene]) -> String {
    let (first, half) = (thousands(scenes[1].enos.peak(0)), scenes[0].enos.back_after(50).to_string());
    format!("{HEAD}\n{}\n{}", table(scenes), WORDS.replace("FIRST", &first).replace("HALF", &half))
}

const HEAD: &str = "\
# A fleet after an outage

A million devices are online, and lose the cloud in the same moment. It returns after 10 minutes. What does it meet?
`make fleet` runs the session of libenos a million times, with its default settings, in virtual time: the code that a
device runs, with a model of the network around it (5 to 100 ms a packet). Beside it runs the policy that is common
elsewhere, in Envision's C SDK among others: wait 1 s, double it at each failure up to 30 s, no jitter. The figures do
not depend on the machine; this page and the plot are written by the command.

![CONNECTs a second over time](fleet.svg)
";

const WORDS: &str = "\
Barred: EnOS blocks a device for 5 minutes at its 4th CONNECT within 2 minutes.

- **Refuses**: nobody listens on the port. An attempt ends at once, and is no CONNECT. Without jitter all devices keep
  the same step, and the returning cloud meets the whole fleet within a second. A cloud that could log in a million
  devices in a second would have them back sooner so; one that cannot is down again. With jitter up to 2 minutes
  the devices come in a stream, and half of them are back after HALF s.
- **Hangs**: connections are taken, as by a load balancer with nobody behind it, and CONNECTs go unanswered for 30 s.
  Each counts for EnOS's limit. The doubling earns the ban. libenos sends three in any 125 s and no more.
- **The jitter stands behind the budget, not beside it.** A fleet whose CONNECTs go unanswered has used up its budgets in
  step. If each device came back as soon as its budget had room, nine tenths of the fleet would do so within one second,
  two and a half minutes after the loss. So the random wait begins when the budget has room.
- **The first attempt** follows one to two seconds after the loss, for most losses are one device's own. When a whole
  fleet loses its links and the cloud takes connections at once, it meets FIRST CONNECTs in one second. If you run a
  fleet that large behind one address, set `enos_config_set_reconnect(config, 10000, 120000)`: ten times as long, a tenth
  of the rush.
";

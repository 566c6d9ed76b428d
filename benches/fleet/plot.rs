//! CONNECTs a second over time, as an SVG: a panel for each scene, on a logarithmic scale.

use std::fmt::Write;

use crate::curve::Curve;
use crate::Scene;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 20.0;
/// The height of a panel's title, of its plot, and of the space below.
const HEAD: f64 = 40.0;
const HEIGHT: f64 = 220.0;
const FOOT: f64 = 50.0;
const LEGEND: f64 = 40.0;
const SECONDS: usize = 800;
const DECADES: u32 = 6;

const STYLE: &str = "
    text { font: 13px sans-serif; fill: #222 }
    .title { font-weight: bold }
    .paper { fill: #fff }
    .grid { stroke: #ccc; stroke-width: 1 }
    .away { fill: #8883 }
    path, .key { fill: none; stroke-width: 2 }
    .doubling { stroke: #d95f02 }
    .enos { stroke: #1b7fbd }
    @media (prefers-color-scheme: dark) {
        text { fill: #ddd }
        .paper { fill: #181a1b }
        .grid { stroke: #444 }
        .doubling { stroke: #f59042 }
        .enos { stroke: #5fb6ea }
    }
";

pub fn svg(scenes: &[Scene]) -> String {
    let height = LEGEND + scenes.len() as f64 * (HEAD + HEIGHT + FOOT);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n\
         <title>CONNECTs a second of a fleet that lost the cloud at once</title>\n<style>{STYLE}</style>\n\
         <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    for (x, class, words) in
        [(LEFT, "enos", "libenos"), (LEFT + 140.0, "doubling", "1 s doubled up to 30 s, no jitter")]
    {
        let (to, text) = (x + 30.0, x + 38.0);
        let _ = writeln!(out, "<line class=\"key {class}\" x1=\"{x}\" y1=\"22\" x2=\"{to}\" y2=\"22\"/>");
        let _ = writeln!(out, "<text x=\"{text}\" y=\"27\">{words}</text>");
    }
    for (number, scene) in scenes.iter().enumerate() {
        panel(&mut out, LEGEND + number as f64 * (HEAD + HEIGHT + FOOT) + HEAD, scene);
    }
    out + "</svg>\n"
}

fn x(second: usize) -> f64 {
    LEFT + second as f64 / SECONDS as f64 * (WIDTH - LEFT - RIGHT)
}

/// The distance from the top of a panel's plot; values below 1 count as 0.
fn y(connects: u64) -> f64 {
    HEIGHT * (1.0 - (connects.max(1) as f64).log10() / f64::from(DECADES))
}

fn panel(out: &mut String, top: f64, scene: &Scene) {
    let (bottom, right, returns) = (top + HEIGHT, x(SECONDS), scene.enos.returns);
    let _ = writeln!(out, "<text class=\"title\" x=\"{LEFT}\" y=\"{}\">{}</text>", top - 12.0, scene.title);
    let away = x(returns) - LEFT;
    let _ = writeln!(out, "<rect class=\"away\" x=\"{LEFT}\" y=\"{top}\" width=\"{away}\" height=\"{HEIGHT}\"/>");
    for decade in 0..=DECADES {
        let (at, number) = (top + y(10_u64.pow(decade)), thousands(10_u64.pow(decade)));
        let _ = writeln!(out, "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\"/>");
        let (left, down) = (LEFT - 8.0, at + 4.0);
        let _ = writeln!(out, "<text x=\"{left}\" y=\"{down:.1}\" text-anchor=\"end\">{number}</text>");
    }
    for second in (0..=SECONDS).step_by(100) {
        let (at, end, down) = (x(second), bottom + 5.0, bottom + 20.0);
        let _ = writeln!(out, "<line class=\"grid\" x1=\"{at}\" y1=\"{bottom}\" x2=\"{at}\" y2=\"{end}\"/>");
        let _ = writeln!(out, "<text x=\"{at}\" y=\"{down}\" text-anchor=\"middle\">{second}</text>");
    }
    let (middle, under, side) = ((LEFT + right) / 2.0, bottom + 38.0, top + HEIGHT / 2.0);
    let _ = writeln!(out, "<text x=\"{middle}\" y=\"{under}\" text-anchor=\"middle\">seconds since the loss</text>");
    let _ = writeln!(
        out,
        "<text x=\"16\" y=\"{side}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {side})\">CONNECTs a second</text>"
    );
    for (class, curve) in [("doubling", &scene.doubling), ("enos", &scene.enos)] {
        let _ = writeln!(out, "<path class=\"{class}\" d=\"{}\"/>", line(curve, top));
    }
}

fn line(curve: &Curve, top: f64) -> String {
    let mut path = format!("M{LEFT} {:.1}", top + HEIGHT);
    for (second, connects) in curve.connects[..SECONDS].iter().enumerate() {
        let _ = write!(path, " H{:.1} V{:.1}", x(second), top + y(*connects));
    }
    path
}

/// 1,000,000
pub fn thousands(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1_000), number % 1_000),
    }
}

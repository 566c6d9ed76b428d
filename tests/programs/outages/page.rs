//! Writes docs/outages.md with the tables of outages.

use std::path::Path;
use std::time::Duration;

use super::hours::LongRow;
use super::outage::{Row, Times};

pub fn table(rows: &[Row]) -> String {
    let mut text = "| outage | told after | as | back after | CONNECTs |\n|---|---|---|---|---|\n".to_owned();
    for Row { outage, times, connects, .. } in rows {
        let cells = match times {
            Some(Times { told, status, back }) => {
                format!("{} | `{status}` | {}", seconds(*told), back.map_or("-".to_owned(), seconds))
            }
            None => "nothing to tell | - | -".to_owned(),
        };
        text += &format!("| {outage} | {cells} | {connects} |\n");
    }
    text
}

pub fn long_table(rows: &[LongRow]) -> String {
    let head = "| outage | told within | half are back after | all are back after | CONNECTs in that hour, at most |\n";
    let mut text = format!("{head}|---|---|---|---|---|\n");
    for LongRow { outage, told, back: [half, all], connects, .. } in rows {
        text += &format!("| {outage} | {} | {} | {} | {connects} |\n", seconds(*told), seconds(*half), seconds(*all));
    }
    text
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

pub fn write(rows: &[Row], hours: &[LongRow]) {
    let item = |outage: &str, words: &str| wrap(&format!("- **{outage}**: {words}"));
    let words: String = rows.iter().map(|row| item(row.outage, row.words)).collect();
    let long_words: String = hours.iter().map(|row| item(row.outage, row.words)).collect();
    let page = format!("{HEAD}\n{}\n{words}\n{LONG}\n{}\n{long_words}", table(rows), long_table(hours));
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/outages.md"), page).unwrap();
}

/// An item of a list, in lines of at most 120 characters.
fn wrap(item: &str) -> String {
    let mut lines = vec![String::new()];
    for word in item.split(' ') {
        let line = lines.last_mut().unwrap();
        match line.len() + 1 + word.len() {
            1.. if line.is_empty() => line.push_str(word),
            ..=120 => *line += &format!(" {word}"),
            _ => lines.push(format!("  {word}")),
        }
    }
    lines.join("\n") + "\n"
}

const HEAD: &str = "\
# Outages

What a device meets in the field. `tests/programs/outages` tries each outage with a real broker (Eclipse Mosquitto) and
measures how long it takes until the host is told (DISCONNECTED), how long from the end of the fault until the device is
back (CONNECTED), and how many CONNECTs it sends from the fault on, counted at the broker or on the way to it.
`make outages` writes this page.

The devices here use short times, so that the test ends within a minute: a keep-alive of 10 s instead of 60, waits of 0.2
to 2 s instead of 1 to 120, a connect timeout of 2 s instead of 30, and a budget of 3 CONNECTs in 5 s instead of 125.
An outage that only the keep-alive shows is reported after two and a half intervals: by default after two and a half
minutes. In every case the budget is kept, and enos_client_loop() and enos_client_wait() return within their timeouts.
";

const LONG: &str = "\
The next table is an hour of each outage, in virtual time: a thousand sessions with the library's default settings, and a
model of the cloud around them.
";

//! A device's whole life in a process of its own, whose memory is searched for its secrets from outside: while it lives
//! they are where they are needed, and once its client is destroyed they are nowhere.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};

use enos_sim::{Cloud, Config, Device, DeviceId};

use support::memory::{Runs, RUN};
use support::native::{root, Workshop};

/// As long as EnOS's.
const LENGTH: usize = 32;

/// The program, and what it is searched for.
struct Suspect {
    child: Child,
    stdin: ChildStdin,
    stops: std::io::Lines<BufReader<std::process::ChildStdout>>,
    product: Runs,
    device: Runs,
}

/// How many whole secrets the runs found would make; a part of one counts as one.
fn copies(runs: &Runs, process: &str) -> usize {
    let found: usize = runs.search(process).iter().map(|(_, count)| count).sum();
    found.div_ceil(LENGTH - RUN + 1)
}

impl Suspect {
    /// Runs the program to its next stop, and tells how many copies of product and device secret it has there.
    #[track_caller]
    fn stopped_at(&mut self, stop: &str) -> (usize, usize) {
        assert_eq!(self.stops.next().unwrap().unwrap(), stop);
        let process = self.child.id().to_string();
        let found = (copies(&self.product, &process), copies(&self.device, &process));
        println!("{stop}: {} copies of the product secret, {} of the device secret", found.0, found.1);
        if stop == "destroyed" {
            assert_eq!(self.product.search(&process), [], "the product secret");
            assert_eq!(self.device.search(&process), [], "the device secret");
        }
        self.stdin.write_all(b".").unwrap();
        found
    }
}

fn secret(random: &mut fastrand::Rng) -> String {
    (0..LENGTH).map(|_| char::from(random.u8(b'#'..=b'Z'))).collect()
}

/// A device whose first stores of the secret fail.
fn life(stores_that_fail: usize) {
    let mut random = fastrand::Rng::new();
    let (product, device) = (secret(&mut random), secret(&mut random));
    let registered = Device {
        device_secret: Some(device.as_str().into()),
        ..Device::inactive(DeviceId::new("pk", "dk"), product.as_str())
    };
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), devices: vec![registered], ..Config::default() };
    let cloud = Cloud::start(config, |_| ()).unwrap();
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &root().join("tests/c/memory_device.c"));
    let mut command = workshop.command(program);
    command.arg(format!("tcp://{}", cloud.address())).args(["store", &stores_that_fail.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    writeln!(stdin, "{product}").unwrap();
    let mut suspect = Suspect {
        child,
        stdin,
        stops: BufReader::new(stdout).lines(),
        product: Runs::of(product.as_bytes(), &mut random),
        device: Runs::of(device.as_bytes(), &mut random),
    };

    assert_eq!(suspect.stopped_at("created"), (1, 0), "the session's");
    for _ in 0..stores_that_fail {
        let (product, device) = suspect.stopped_at("unsaved");
        assert!((1..=4).contains(&product), "the session's, one for each method of the round, and the attempt's");
        assert!((1..=2).contains(&device), "the session's and the event's");
    }
    let (product, device) = suspect.stopped_at("online");
    assert_eq!(product, 1, "the session's");
    assert!((1..=2).contains(&device), "the session's and the attempt's");
    suspect.stopped_at("destroyed");
    assert!(suspect.child.wait().unwrap().success());
}

#[test]
fn nothing_of_its_secrets_outlives_the_client() {
    life(0);
}

#[test]
fn nothing_of_a_secret_that_was_hard_to_store_outlives_the_client() {
    life(2);
}

//! The life of a device in a process of its own, whose memory is searched for the secrets from outside. They are there
//! only as long as they are needed, and when its client is destroyed they are gone.

use enos_sim::Device;

use support::desk::{device_id, Desk};
use support::memory::{Runs, RUN};
use support::native::{quiet, test_source, Workshop};
use support::program::Program;

/// As long as the secrets of EnOS.
const LENGTH: usize = 32;

/// The program, and the secrets to search for.
struct Suspect {
    program: Program,
    product: Runs,
    device: Runs,
}

/// The number of secrets that these runs correspond to; a part of a secret counts as one.
fn copies(runs: &Runs, process: &str) -> usize {
    let found: usize = runs.search(process).iter().map(|(_, count)| count).sum();
    found.div_ceil(LENGTH - RUN + 1)
}

impl Suspect {
    /// Runs the program to its next stop, and returns how many copies of product and device secret it has there.
    #[track_caller]
    fn stopped_at(&mut self, stop: &str) -> (usize, usize) {
        assert_eq!(self.program.expect(""), stop);
        let process = self.program.id().to_string();
        let found = (copies(&self.product, &process), copies(&self.device, &process));
        println!("{stop}: {} copies of the product secret, {} of the device secret", found.0, found.1);
        if stop == "destroyed" {
            assert_eq!(self.product.search(&process), [], "the product secret");
            assert_eq!(self.device.search(&process), [], "the device secret");
        }
        self.program.say(".");
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
    let registered =
        Device { device_secret: Some(device.as_str().into()), ..Device::inactive(device_id(), product.as_str()) };
    let desk = Desk::inactive(|config| config.devices = vec![registered]);
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &test_source("memory_device.c"));
    let arguments = [format!("tcp://{}", desk.address()), "store".to_owned(), stores_that_fail.to_string()];
    let mut program = Program::listening(workshop.command(&program).args(arguments));
    program.say(&format!("{product}\n"));
    let (product, device) = (Runs::of(product.as_bytes(), &mut random), Runs::of(device.as_bytes(), &mut random));
    let mut suspect = Suspect { program, product, device };

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
    suspect.program.exits(0);
}

#[test]
fn nothing_of_its_secrets_outlives_the_client() {
    life(0);
}

#[test]
fn nothing_of_a_secret_that_was_hard_to_store_outlives_the_client() {
    life(2);
}

#[test]
fn an_activation_that_is_hard_to_store_and_a_post_under_valgrind() {
    let desk = Desk::inactive(|_| {});
    let workshop = Workshop::new();
    let program = workshop.build("cc", "c99", &test_source("memory_device.c"));
    let Some(mut command) = workshop.valgrind(program) else { return };
    let input = format!("{}\n.....", support::host::PRODUCT_SECRET);
    let stops = quiet(command.args([&format!("tcp://{}", desk.address()), "store", "2"]), &input);
    assert_eq!(stops, "created\nunsaved\nunsaved\nonline\ndestroyed\n");
}

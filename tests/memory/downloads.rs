//! A download takes the same memory for every size of the image. The figures are in its output.

use std::fs::File;

use enos::internals::error::Status;
use sha2::{Digest, Sha256};
use support::alone::alone_with;
use support::host::{hex, Firmware, Options, Setup, Slot};
use support::nginx::Nginx;
use support::tls::Pki;

use crate::held::{held, settle, NO_CACHES};

/// In MB.
const SIZE: u64 = 16;
const SIZE_IN_SOAK: u64 = 512;
/// The most that a download may take in addition to an idle client.
const LIMIT: usize = 256 * 1024;
/// The most that it may take over TLS.
const LIMIT_OF_TLS: usize = 320 * 1024;

#[test]
fn a_large_image_takes_no_more_than_a_small_one() {
    alone_with(&[NO_CACHES], || {
        let size = if std::env::var_os("ENOS_SOAK").is_some() { SIZE_IN_SOAK } else { SIZE } << 20;
        let pki = Pki::new();
        for pki in [None, Some(&pki)] {
            let Some(server) = Nginx::start(pki, "") else { return };
            // Zeros that take no room.
            File::create(server.file("image")).unwrap().set_len(size).unwrap();
            let setup = Setup::device("127.0.0.1:1".parse().unwrap());
            let mut host = match pki {
                Some(pki) => setup.tls(Some(&pki.ca()), None).start(),
                None => setup.start(),
            };
            // What is allocated once in a process.
            File::create(server.file("small")).unwrap().set_len(9).unwrap();
            peak(&mut host, &firmware(&server, "small", 9), 9);
            settle();
            let before = held();
            let peak = peak(&mut host, &firmware(&server, "image", size), size) - before;
            println!("{} MB over {}: {peak} bytes", size >> 20, server.url(""));
            let limit = if pki.is_some() { LIMIT_OF_TLS } else { LIMIT };
            assert!(peak < limit, "{peak} bytes");
        }
    });
}

fn firmware(server: &Nginx, file: &str, size: u64) -> Firmware {
    let mut digest = Sha256::new();
    let zeros = [0; 65536];
    let mut left = size;
    while left > 0 {
        let len = left.min(zeros.len() as u64);
        digest.update(&zeros[..len as usize]);
        left -= len;
    }
    Firmware::with(&server.url(file), size, "sha256", &hex(&digest.finalize()))
}

/// The most that is held in a download.
fn peak(host: &mut support::host::Host, firmware: &Firmware, size: u64) -> usize {
    let slot = Slot::default();
    slot.state().counts_only = true;
    // Nothing of the test's own may grow.
    slot.state().blocks.reserve((size / 65536) as usize + 100);
    let before = slot.state().blocks.capacity() * size_of::<(u64, usize)>();
    // Another image would have to wait until this one is installed.
    slot.state().verified_result = -1;
    let token = host.download(firmware, &slot, &Options { flags: 1, ..Options::default() }).unwrap();
    let mut peak = 0;
    loop {
        peak = peak.max(held());
        if host.take_all().iter().any(|told| told.token == token && told.status != Status::ENOS_OK) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(slot.state().verified, 1);
    peak - before
}

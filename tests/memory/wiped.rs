//! No byte of a secret stays behind: every writable byte of the process is searched for it.
//!
//! One test, alone in its process, so that no other test's memory comes and goes meanwhile.

use std::hint::black_box;
use support::alone::alone;

use enos::protocol::sign::mqtt_password;
use enos::protocol::{Activation, Identity, Secret, SecureMode, SignMethod, SignParams};
use zeroize::Zeroizing;

use support::memory::{Runs, PADS};

/// A random text of `length` bytes.
fn text(length: usize, random: &mut fastrand::Rng) -> Zeroizing<Vec<u8>> {
    let mut text = Zeroizing::new(Vec::with_capacity(length));
    (0..length).for_each(|_| text.push(random.u8(b'#'..=b'Z')));
    text
}

/// Hands `usage` a secret, and looks for it once `usage` is through and the test's own copy is wiped.
fn assert_wiped(what: &str, length: usize, random: &mut fastrand::Rng, usage: impl FnOnce(&[u8])) {
    let secret = text(length, random);
    let runs = Runs::of(&secret, random);
    far_below(|| usage(&secret));
    drop(secret);
    assert_eq!(runs.search("self"), [], "{what}, {length} bytes");
}

/// Calls `usage` so far down the stack that the search's own frames cover none of its traces.
#[inline(never)]
fn far_below(usage: impl FnOnce()) {
    let room = black_box([0u8; 1 << 18]);
    usage();
    black_box(&room);
}

/// An activation whose secret has `escaped` of its characters escaped, in a buffer that is wiped.
fn activation_message(secret: &[u8], escaped: usize, device_key: &str) -> Zeroizing<Vec<u8>> {
    let mut payload = Zeroizing::new(Vec::with_capacity(300 + secret.len() * 6));
    payload
        .extend_from_slice(br#"{"id":"1","method":"thing.activate.info","params":{"productKey":"pk","deviceSecret":""#);
    for (at, byte) in secret.iter().enumerate() {
        if at % secret.len() < escaped {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            payload.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        } else {
            payload.push(*byte);
        }
    }
    payload.extend_from_slice(br#"","deviceKey":""#);
    payload.extend_from_slice(device_key.as_bytes());
    payload.extend_from_slice(br#""}}"#);
    payload
}

#[test]
fn nothing_of_a_secret_stays_in_memory() {
    alone(|| {
        let mut random = fastrand::Rng::new();
        let random = &mut random;

        // The search finds what is there, in each of the forms.
        for pad in PADS {
            for turned in [0, 3] {
                let secret = text(64, random);
                let runs = Runs::of(&secret, random);
                assert_eq!(runs.search("self").len(), 1, "the test's own copy");
                let mut leftover = Zeroizing::new(vec![0; 64]);
                (0..64).for_each(|at| leftover[at] = secret[at ^ turned] ^ pad);
                drop(secret);
                assert_eq!(runs.search("self").len(), 1, "a leftover, {pad:02x}, {turned}");
                drop(leftover);
                assert_eq!(runs.search("self"), []);
            }
        }

        let identity = Identity::new("pk", "dk", None).unwrap();
        // Shorter and longer than a block, than what fits a block beside the content, and than two blocks.
        for length in [8, 20, 55, 64, 65, 100, 128, 1024] {
            assert_wiped("kept", length, random, |secret| {
                let secret = Secret::new(secret).unwrap();
                let copy = secret.clone();
                assert!(secret == copy);
                assert_eq!(format!("{secret:?}"), "Secret(..)");
            });
            for method in [SignMethod::HmacSha1, SignMethod::Sha1, SignMethod::Sha256] {
                assert_wiped(method.name(), length, random, |secret| {
                    let secret = Secret::new(secret).unwrap();
                    let mode = SecureMode::Device;
                    let params = SignParams { identity: &identity, secret: &secret, mode, method, timestamp_ms: 1 };
                    assert!(mqtt_password(&params).len() >= 40);
                });
            }
            for escaped in [0, 1, length / 2, length] {
                let topic = b"/ext/session/pk/dk/thing/activate/info";
                assert_wiped("an activation", length, random, |secret| {
                    let payload = activation_message(secret, escaped, "dk");
                    let activation = Activation::parse(&identity, topic, &payload).unwrap();
                    assert!(activation.device_secret().as_bytes() == secret);
                    assert!(format!("{:?}{:?}", activation.clone(), activation.reply()).contains("Secret(..)"));
                });
                assert_wiped("another device's activation", length, random, |secret| {
                    let payload = activation_message(secret, escaped, "other");
                    assert!(Activation::parse(&identity, topic, &payload).is_err());
                });
                assert_wiped("a broken activation", length, random, |secret| {
                    let mut payload = activation_message(secret, escaped, "dk");
                    payload.pop();
                    assert!(Activation::parse(&identity, topic, &payload).is_err());
                });
            }
        }
    });
}

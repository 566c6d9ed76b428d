//! The data of `ota`: what has to be remembered of firmware updates.
//!
//! `u8` format, 1. Then three firmwares: the one that is offered, the one that was taken, and the one that has failed. Each
//! is a `u8`, 0 if there is none, and otherwise the texts version, URL, sign method and digest, and the size as `u64`. The
//! `u8` of the one that was taken is its phase: 1 verified, 2 installed. For the others it is 1.

use zeroize::Zeroizing;

use super::bytes::{Reader, Writer};
use super::record::RecordError;
use crate::protocol::update::Phase;
use crate::protocol::{Firmware, Update};

type Decoded<T> = std::result::Result<T, RecordError>;

const FORMAT: u8 = 1;

pub fn encode(update: &Update) -> Zeroizing<Vec<u8>> {
    let taken = update.taken.as_ref().map(|(phase, firmware)| (number(*phase), firmware));
    let one = |firmware| (1, firmware);
    let all = [update.open.as_ref().map(one), taken, update.failed.as_ref().map(one)];
    let len = |firmware: &Firmware| texts(firmware).iter().fold(1 + 8, |sum, text| sum + 2 + text.len());
    let lens = all.iter().map(|it| it.map_or(1, |(_, firmware)| len(firmware)));
    let mut out = Writer::with_capacity(1 + lens.sum::<usize>());
    out.u8(FORMAT);
    for firmware in all {
        match firmware {
            None => out.u8(0),
            Some((number, firmware)) => {
                out.u8(number);
                texts(firmware).into_iter().for_each(|text| out.text(text));
                out.u64(firmware.size);
            }
        }
    }
    out.finish()
}

/// An unknown format or phase is an error: an update of which nobody knows how far it is starts over.
pub fn decode(data: &[u8]) -> Decoded<Update> {
    let mut reader = Reader::new(data);
    let format = reader.u8()?;
    if format != FORMAT {
        return Err(RecordError::broken(format!("its format {format} is unknown")));
    }
    let [open, taken, failed] = [read(&mut reader)?, read(&mut reader)?, read(&mut reader)?];
    if !reader.is_empty() {
        return Err(RecordError::broken("it has bytes too many"));
    }
    let phase = |number| match number {
        1 => Ok(Phase::Verified),
        2 => Ok(Phase::Installed),
        _ => Err(RecordError::broken(format!("its phase {number} is unknown"))),
    };
    let only = |firmware: Option<(u8, Firmware)>| match firmware {
        Some((1, firmware)) => Ok(Some(firmware)),
        Some((number, _)) => Err(RecordError::broken(format!("its kind {number} is unknown"))),
        None => Ok(None),
    };
    let taken = taken.map(|(number, firmware)| Ok::<_, RecordError>((phase(number)?, firmware))).transpose()?;
    Ok(Update { open: only(open)?, taken, failed: only(failed)? })
}

fn number(phase: Phase) -> u8 {
    match phase {
        Phase::Verified => 1,
        Phase::Installed => 2,
    }
}

fn texts(firmware: &Firmware) -> [&str; 4] {
    [&firmware.version, &firmware.url, &firmware.sign_method, &firmware.sign]
}

fn read(reader: &mut Reader) -> Decoded<Option<(u8, Firmware)>> {
    let number = reader.u8()?;
    if number == 0 {
        return Ok(None);
    }
    let mut text = || Ok::<_, RecordError>(reader.text()?.to_owned());
    let (version, url, sign_method, sign) = (text()?, text()?, text()?, text()?);
    let firmware = Firmware { version, url, sign_method, sign, size: reader.u64()? };
    Ok(Some((number, firmware)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::firmware::{MAX_TEXT, MAX_URL};
    use crate::protocol::update::tests::firmware;
    use crate::storage::record::{self, Role};

    fn update() -> Update {
        Update {
            open: Some(firmware("3")),
            taken: Some((Phase::Installed, firmware("2"))),
            failed: Some(Firmware { size: u64::MAX, ..firmware("1") }),
        }
    }

    #[test]
    fn what_was_stored_is_read() {
        let phase = |phase| Some((phase, firmware("2")));
        for open in [None, update().open] {
            for taken in [None, phase(Phase::Verified), phase(Phase::Installed)] {
                for failed in [None, update().failed] {
                    let update = Update { open: open.clone(), taken: taken.clone(), failed };
                    assert_eq!(decode(&encode(&update)).unwrap(), update);
                }
            }
        }
    }

    #[test]
    fn the_largest_fits_a_record() {
        let text = "x".repeat(MAX_TEXT);
        let largest = Firmware { version: text.clone(), sign: text.clone(), ..firmware(&text) };
        let largest = Firmware { url: "x".repeat(MAX_URL), sign_method: text, ..largest };
        let update = Update {
            open: Some(largest.clone()),
            taken: Some((Phase::Verified, largest.clone())),
            failed: Some(largest),
        };
        record::encode(Role::Ota, &"p".repeat(64), &"d".repeat(64), &encode(&update)).unwrap();
    }

    /// The checksum of the record finds each of these; here it does not help.
    #[test]
    fn an_unknown_phase_is_never_a_known_one() {
        let data = encode(&update());
        for cut in 0..data.len() {
            assert!(decode(&data[..cut]).is_err(), "{cut}");
        }
        let long = [&data[..], b"x"].concat();
        assert!(decode(&long).is_err());
        let first_len = 1 + 1 + 8 + texts(&firmware("3")).iter().map(|text| 2 + text.len()).sum::<usize>();
        for (at, known) in [(0, 1..=1), (1, 1..=1), (first_len, 1..=2)] {
            for value in (0..=255).filter(|value| !known.contains(value)) {
                let mut data = data.to_vec();
                data[at] = value;
                assert!(decode(&data).is_err(), "{value} at {at}");
            }
        }
    }

    #[test]
    fn each_flipped_bit_is_found() {
        let whole = record::encode(Role::Ota, "pk", "dk", &encode(&update())).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = record::decode(Role::Ota, "pk", "dk", &bytes).and_then(decode);
            assert!(read.is_err(), "bit {bit}");
        }
    }
}

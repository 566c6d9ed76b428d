//! Values: the reader on any bytes, and the builder, each against two other readers of JSON: serde_json, and cJSON, which
//! firmware uses.

use crate::input::Input;
use crate::oracle::check_words;
use enos::internals::ffi::json::*;
use enos::internals::ffi::value::*;
use serde_json::Value;
use std::ffi::{c_char, c_int, CStr, CString};
use std::ptr::{null, null_mut};
use support::host::last_error;

/// An element of cJSON's tree. This layout is a part of its ABI.
#[repr(C)]
struct CJson {
    next: *const CJson,
    prev: *const CJson,
    child: *const CJson,
    kind: c_int,
    text: *const c_char,
    int: c_int,
    double: f64,
    name: *const c_char,
}

extern "C" {
    fn cJSON_ParseWithLengthOpts(text: *const c_char, len: usize, end: *mut *const c_char, to_nul: c_int)
        -> *mut CJson;
    fn cJSON_Delete(item: *mut CJson);
}

/// The longest number that cJSON reads. It cuts a longer one.
const CJSON_NUMBER: usize = 63;

fn parse(text: &[u8]) -> Option<enos_value> {
    let mut value = NOTHING;
    // SAFETY: bytes with their length, which outlive the value, and a place for it.
    let status = unsafe { enos_value_parse(text.as_ptr().cast(), text.len(), &mut value) };
    (status == 0).then_some(value)
}

const NOTHING: enos_value = enos_value { text: null(), len: 0 };

fn source(value: &enos_value) -> &[u8] {
    // SAFETY: the target keeps the bytes of its values.
    unsafe { std::slice::from_raw_parts(value.text.cast(), value.len) }
}

fn text_of(value: enos_value) -> Option<Vec<u8>> {
    let mut len = 0;
    let mut text = vec![0; value.len + 1];
    // SAFETY: a value, a buffer with its size, and a place for the length.
    let status = unsafe { enos_value_text(value, text.as_mut_ptr().cast(), text.len(), &mut len) };
    text.truncate(len);
    (status == 0).then_some(text)
}

fn double_of(value: enos_value) -> Option<f64> {
    let mut double = 0.0;
    // SAFETY: a value, and a place for the number.
    (unsafe { enos_value_double(value, &mut double) } == 0).then_some(double)
}

/// The members or elements, with the texts of their keys.
fn items(value: enos_value) -> Vec<(Option<Vec<u8>>, enos_value)> {
    let (mut cursor, mut all) = (0, Vec::new());
    let (mut key, mut item) = (NOTHING, NOTHING);
    // SAFETY: a value, and places for the cursor, the key and the item.
    while unsafe { enos_value_next(value, &mut cursor, &mut key, &mut item) } == 1 {
        all.push((text_of(key), item));
    }
    all
}

/// All three read the same. cJSON cuts texts at a NUL, and numbers that are too long.
fn check_same(ours: enos_value, theirs: &Value, cjson: Option<&CJson>) {
    let bytes = source(&ours);
    let c_text = |text: *const c_char| {
        // SAFETY: cJSON's texts have a NUL at their end.
        unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()
    };
    let cut = |text: &[u8]| text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    // SAFETY: a value of the target.
    let kind = unsafe { enos_value_type(ours) };
    match theirs {
        Value::Null => assert_eq!((kind, bytes), (1, &b"null"[..])),
        Value::Bool(expected) => {
            let mut read = -1;
            // SAFETY: a value, and a place for the result.
            assert_eq!(unsafe { enos_value_bool(ours, &mut read) }, 0);
            assert_eq!(read, i32::from(*expected));
        }
        Value::Number(expected) => {
            let double = double_of(ours).expect("a number");
            // serde_json may be wrong in the last digit.
            let near = expected.as_f64().is_some_and(|near| (near - double).abs() <= double.abs() * 1e-15);
            assert!(near || expected.as_f64() == Some(double), "{expected} {double}");
            let (mut int, mut uint) = (0, 0);
            // SAFETY: a value, and places for the numbers.
            let (is_int, is_uint) =
                unsafe { (enos_value_int(ours, &mut int) == 0, enos_value_uint(ours, &mut uint) == 0) };
            assert!(expected.as_i64().is_none_or(|expected| is_int && int == expected), "{expected} {int}");
            assert!(expected.as_u64().is_none_or(|expected| is_uint && uint == expected), "{expected} {uint}");
            assert!(cjson.is_none_or(|cjson| cjson.double == double), "{expected} {double}");
        }
        Value::String(expected) => {
            let text = text_of(ours).expect("a text");
            assert_eq!(text, expected.as_bytes());
            // SAFETY: a value, and a text with its length.
            assert_eq!(unsafe { enos_value_equals(ours, text.as_ptr().cast(), text.len()) }, 1);
            assert!(cjson.is_none_or(|cjson| c_text(cjson.text) == cut(&text)), "{expected}");
        }
        Value::Array(_) | Value::Object(_) => {
            let items = items(ours);
            let count = theirs.as_array().map_or_else(|| theirs.as_object().map_or(0, |all| all.len()), Vec::len);
            assert_eq!(items.len(), count);
            let mut child = cjson.map_or(null(), |cjson| cjson.child);
            for (place, (key, item)) in items.into_iter().enumerate() {
                // SAFETY: an element of cJSON's tree, or NULL.
                let cjson = cjson.map(|_| unsafe { child.as_ref() }.expect("as many elements"));
                let token = key.as_ref().map_or_else(
                    || place.to_string(),
                    |key| String::from_utf8_lossy(key).replace('~', "~0").replace('/', "~1"),
                );
                let expected = theirs.pointer(&format!("/{token}")).expect("it is there");
                if let Ok(pointer) = CString::new(format!("/{token}")) {
                    // SAFETY: a value and a text.
                    let found = unsafe { enos_value_at(ours, pointer.as_ptr()) };
                    assert_eq!((found.text, found.len), (item.text, item.len), "{token}");
                }
                if let Some((cjson, key)) = cjson.zip(key) {
                    assert_eq!(c_text(cjson.name), cut(&key));
                }
                check_same(item, expected, cjson);
                child = cjson.map_or(null(), |cjson| cjson.next);
            }
            assert!(child.is_null(), "cJSON has more elements");
        }
    }
}

/// What the reader accepts, the others read alike.
fn check_others(text: &[u8], value: enos_value) {
    let theirs: Value = serde_json::from_slice(text).expect("serde_json reads it");
    let digits = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    let has_long_number = text.chunk_by(|a, b| digits(a) == digits(b)).any(|run| run.len() > CJSON_NUMBER);
    let whole = CString::new(text).expect("no NUL");
    // SAFETY: a text with its NUL, and its size. The tree is freed once.
    unsafe {
        let len = whole.as_bytes_with_nul().len();
        let tree =
            if has_long_number { null_mut() } else { cJSON_ParseWithLengthOpts(whole.as_ptr(), len, null_mut(), 1) };
        assert!(has_long_number || !tree.is_null(), "cJSON does not read it");
        check_same(value, &theirs, tree.as_ref());
        cJSON_Delete(tree);
    }
}

/// The reader on any bytes, checked and unchecked.
pub fn read(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let pointer: Vec<u8> = input.chunk().iter().copied().filter(|byte| *byte != 0).collect();
    let pointer = CString::new(pointer).expect("no NUL");
    // A copy of exact size, so that an access beyond it is found.
    let text = input.rest().to_vec();
    let whole = enos_value { text: text.as_ptr().cast(), len: text.len() };
    check_unchecked(whole, &pointer);
    for (_, item) in items(whole).into_iter().take(8) {
        check_unchecked(item, &pointer);
    }
    match parse(&text) {
        Some(value) => check_others(&text, value),
        None => {
            let words = last_error();
            check_words(&words);
            // These two rules are only ours.
            let own = words.contains("twice") || words.contains("64 levels");
            assert!(own || serde_json::from_slice::<Value>(&text).is_err(), "{words}");
        }
    }
}

/// Whatever the value is: all results are parts of it.
fn check_unchecked(value: enos_value, pointer: &CStr) {
    let inside = |part: &enos_value| {
        let at = (part.text as usize).wrapping_sub(value.text as usize);
        assert!(part.text.is_null() && part.len == 0 || at <= value.len && part.len <= value.len - at);
    };
    // SAFETY: a value of the target, a text, and places for the results.
    unsafe {
        inside(&enos_value_at(value, pointer.as_ptr()));
        let count = enos_value_count(value);
        let (mut cursor, mut seen) = (0, 0);
        let (mut key, mut item) = (NOTHING, NOTHING);
        while enos_value_next(value, &mut cursor, &mut key, &mut item) == 1 {
            inside(&key);
            inside(&item);
            seen += 1;
            assert!(seen <= value.len, "a walk ends");
        }
        assert!(count < 0 || count as usize == seen);
        let (mut int, mut uint, mut flag) = (0, 0, 0);
        enos_value_int(value, &mut int);
        enos_value_uint(value, &mut uint);
        enos_value_bool(value, &mut flag);
        enos_value_equals(value, pointer.as_ptr(), pointer.count_bytes());
    }
    double_of(value);
    if let Some(text) = text_of(value) {
        std::str::from_utf8(&text).expect("a text is UTF-8");
    }
}

/// A value without members, as it was put.
#[derive(Debug, PartialEq)]
enum Leaf {
    Null,
    Bool(bool),
    Int(i128),
    Double(f64),
    Float(f32),
    Text(Vec<u8>),
}

/// What is open.
enum Level {
    Object,
    Array,
    Points { time: i64 },
    Point { quality: i32, filled: bool, left_out: bool },
}

/// The builder's calls, and what must come of them.
struct Model {
    open: Vec<Level>,
    leaves: Vec<Leaf>,
    policy: i32,
}

impl Model {
    fn put(&mut self, leaf: Leaf) {
        let finite = match leaf {
            Leaf::Double(number) => number.is_finite(),
            Leaf::Float(number) => number.is_finite(),
            _ => true,
        };
        let in_array = matches!(self.open.last(), Some(Level::Array));
        match self.policy {
            _ if finite => self.leaves.push(leaf),
            2 if !in_array => {
                if let Some(Level::Point { left_out, .. }) = self.open.last_mut() {
                    *left_out = true;
                }
            }
            // With policy 0 there is no text.
            _ => self.leaves.push(Leaf::Null),
        }
        if let Some(Level::Point { filled, .. }) = self.open.last_mut() {
            *filled = true;
        }
    }

    fn end(&mut self) {
        match self.open.pop() {
            Some(Level::Points { time }) if time != i64::MIN => self.leaves.push(Leaf::Int(time.into())),
            Some(Level::Point { quality, left_out: false, .. }) if quality >= 0 => {
                self.leaves.push(Leaf::Int(quality.into()));
            }
            _ => {}
        }
    }
}

fn collect(value: enos_value, leaves: &mut Vec<enos_value>) {
    // SAFETY: a value of the target.
    match unsafe { enos_value_type(value) } {
        5 | 6 => items(value).into_iter().for_each(|(_, item)| collect(item, leaves)),
        _ => leaves.push(value),
    }
}

/// The numbers of the input: any bits, and the limits.
fn bits(input: &mut Input) -> u64 {
    const LIMITS: [u64; 6] = [0, 1, u64::MAX, 1 << 53, i64::MAX as u64, 1 << 63];
    match input.byte() {
        limit @ 0..=5 => LIMITS[usize::from(limit)],
        byte if byte < 128 => u64::from(byte),
        _ => (0..4).fold(0, |bits, _| bits << 16 | u64::from(input.u16())),
    }
}

/// The builder: a sequence of calls makes the text that they describe, or none.
pub fn build(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let policy = i32::from(input.byte() % 3);
    let mut model = Model { open: Vec::new(), leaves: Vec::new(), policy };
    let mut json = null_mut();
    // SAFETY: a builder, freed once, texts with their lengths, and places for the results.
    unsafe {
        assert_eq!(enos_json_new(&mut json), 0);
        enos_json_set_nonfinite(json, policy);
        while !input.is_empty() {
            call(json, &mut model, &mut input);
        }
        while !model.open.is_empty() {
            enos_json_end(json);
            model.end();
        }
        let (mut text, mut len) = (null(), 0);
        if enos_json_result(json, &mut text, &mut len) == 0 {
            assert_eq!((len, *text.add(len)), (enos_json_size(json), 0));
            let text = std::slice::from_raw_parts(text.cast::<u8>(), len);
            let value = parse(text).unwrap_or_else(|| panic!("{}", last_error()));
            check_others(text, value);
            let mut leaves = Vec::new();
            collect(value, &mut leaves);
            assert_eq!(leaves.len(), model.leaves.len());
            for (value, leaf) in leaves.into_iter().zip(&model.leaves) {
                check_leaf(value, leaf);
            }
        } else {
            check_words(&last_error());
        }
        enos_json_free(json);
    }
}

fn check_leaf(value: enos_value, leaf: &Leaf) {
    let source = String::from_utf8_lossy(source(&value)).into_owned();
    match leaf {
        Leaf::Null => assert_eq!(source, "null"),
        Leaf::Bool(flag) => assert_eq!(source, flag.to_string()),
        Leaf::Int(number) => assert_eq!(source, number.to_string()),
        Leaf::Double(number) => assert_eq!(double_of(value).map(f64::to_bits), Some(number.to_bits()), "{source}"),
        Leaf::Float(number) => assert_eq!(source.parse::<f32>().map(f32::to_bits), Ok(number.to_bits()), "{source}"),
        Leaf::Text(text) => assert_eq!(text_of(value).as_ref(), Some(text)),
    }
    assert!(source.len() <= 24 || matches!(leaf, Leaf::Text(_)), "{source}");
}

/// # Safety
/// `json` is a builder.
unsafe fn call(json: *mut enos_json, model: &mut Model, input: &mut Input) {
    const KEYS: [&CStr; 6] = [c"a", c"b\"\n", c"", c"k\xC3\xA9y", c"a/b~", c"\xFF"];
    let choice = input.byte();
    let in_object = matches!(model.open.last(), Some(Level::Object | Level::Points { .. }));
    let name = match input.byte() {
        // Mostly another key each time, so that an object has many.
        fresh @ 0..=199 => CString::new(format!("{fresh}{}", model.leaves.len())).unwrap(),
        wrong => KEYS[usize::from(wrong) % KEYS.len()].to_owned(),
    };
    let key = if in_object { name.as_ptr() } else { null() };
    // SAFETY: the caller's promise; texts with their lengths.
    unsafe {
        match choice % 14 {
            0 => {
                enos_json_begin_object(json, key);
                model.open.push(Level::Object);
            }
            1 => {
                enos_json_begin_array(json, key);
                model.open.push(Level::Array);
            }
            2 => {
                let time = if input.byte() < 128 { i64::MIN } else { bits(input) as i64 };
                enos_json_begin_measurepoints(json, time);
                model.open.push(Level::Points { time });
            }
            3 => {
                let quality = i32::from(input.byte()) - 1;
                enos_json_begin_point(json, name.as_ptr(), quality);
                model.open.push(Level::Point { quality, filled: false, left_out: false });
            }
            4 | 5 => {
                enos_json_end(json);
                model.end();
            }
            6 => {
                let text = input.chunk();
                enos_json_text(json, key, text.as_ptr().cast(), text.len());
                model.put(Leaf::Text(text.to_vec()));
            }
            7 => {
                let text = input.chunk();
                enos_json_text_lossy(json, key, text.as_ptr().cast(), text.len());
                model.put(Leaf::Text(String::from_utf8_lossy(text).into_owned().into_bytes()));
            }
            8 => {
                let number = bits(input) as i64;
                enos_json_int(json, key, number);
                model.put(Leaf::Int(number.into()));
            }
            9 => {
                let number = bits(input);
                enos_json_uint(json, key, number);
                model.put(Leaf::Int(number.into()));
            }
            10 => {
                let number = f64::from_bits(bits(input));
                enos_json_double(json, key, number);
                model.put(Leaf::Double(number));
            }
            11 => {
                let number = f32::from_bits(bits(input) as u32);
                enos_json_float(json, key, number);
                model.put(Leaf::Float(number));
            }
            12 => {
                let flag = input.byte() & 1 == 1;
                enos_json_bool(json, key, flag.into());
                model.put(Leaf::Bool(flag));
            }
            _ => {
                enos_json_raw(json, key, c" {\"x\" : [null]} ".as_ptr().cast::<c_char>(), 16);
                model.put(Leaf::Null);
            }
        }
    }
}

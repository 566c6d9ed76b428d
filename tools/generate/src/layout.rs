//! tests/golden/abi-layout.txt has the size of each public struct, the offset, the size and the declaration of each
//! member, and the value of each constant, for 64 bits and for both kinds of 32 bits: on i386 a 64-bit integer may lie on
//! four bytes, on ARM only on eight.
//!
//! What there is to measure is read from the header, so a new member is a difference, too.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::native::{code, header, root, succeed, words};

use crate::Mode;

pub const PATH: &str = "tests/golden/abi-layout.txt";

/// The columns of the table, and the compilers for each: all that are installed have to agree.
const COLUMNS: [(&str, &[&[&str]]); 3] = [
    ("64 bits", &[&["gcc"], &["clang"], &["clang", "--target=aarch64-linux-gnu"]]),
    ("i386", &[&["gcc", "-m32"], &["clang", "--target=i686-linux-gnu"]]),
    ("armhf", &[&["clang", "--target=armv7-linux-gnueabihf"], &["arm-linux-gnueabihf-gcc"]]),
];

/// A struct that the header declares.
pub struct Struct {
    pub name: String,
    /// The declarations of its members.
    pub members: Vec<String>,
}

/// The name in a member's declaration.
fn name(member: &str) -> &str {
    let declarator = member.split_once("(*").map_or(member, |(_, after)| after.split(')').next().unwrap());
    words(declarator.split('[').next().unwrap()).last().unwrap()
}

/// The names and the bodies of what is declared with a keyword, struct or enum.
fn bodies(header: &str, keyword: &str) -> Vec<(String, String)> {
    let code = code(header);
    let declarations = code.split("typedef ").filter_map(|part| part.strip_prefix(keyword)?.split_once('{'));
    declarations
        .map(|(name, after)| {
            let body = after.split('}').next().unwrap();
            assert!(!body.contains('{'), "{name}: a struct within a struct cannot be read by this test yet");
            (name.trim().to_owned(), body.to_owned())
        })
        .collect()
}

/// The structs of the header.
pub fn structs(header: &str) -> Vec<Struct> {
    let one_line = |member: &str| member.split_whitespace().collect::<Vec<_>>().join(" ");
    let members = |body: &str| body.split(';').map(one_line).filter(|member| !member.is_empty()).collect();
    bodies(header, "struct ").into_iter().map(|(name, body)| Struct { name, members: members(&body) }).collect()
}

/// The enumerations with their names, and after them the #defines, save the version, which each release changes.
fn constants(header: &str) -> Vec<(String, Vec<String>)> {
    let names = |body: &str| body.split(',').filter_map(|line| words(line).next()).map(str::to_owned).collect();
    let enums = bodies(header, "enum ").into_iter().map(|(name, body)| (format!("enum {name}"), names(&body)));
    let defines = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(' '));
    let defines = defines.filter(|(_, value)| !value.starts_with("__attribute__"));
    let defines =
        defines.map(|(name, _)| name).filter(|name| !name.contains('(') && !name.starts_with("ENOS_VERSION_"));
    enums.chain([("defines".to_owned(), defines.map(str::to_owned).collect())]).collect()
}

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Has a compiler work out expressions, and reads them from the assembly that it writes. Nothing is run or linked, so it
/// needs no C library of the target. None: this compiler is not installed, or has no such target.
fn measure(directory: &Path, compiler: &[&str], expressions: &[String]) -> Option<Vec<i64>> {
    let (program, arguments) = compiler.split_first().unwrap();
    let command = || {
        let mut command = Command::new(program);
        command.args(arguments).args(["-std=c99", "-ffreestanding", "-S", "-o", "-", "-I"]).arg(directory);
        command
    };
    let able = command().arg(write(directory, "nothing.c", "typedef int nothing;\n")).output();
    if !able.is_ok_and(|output| output.status.success()) {
        return None;
    }
    // The only function that the header needs; the headers of types come with the compiler.
    write(directory, "string.h", "#include <stddef.h>\nvoid *memset(void *, int, size_t);\n");
    let mut source = "#include <enos.h>\n\
        #define HIGH(value) (int)((unsigned long long)(long long)(value) >> 32)\n\
        #define SAY(value) __asm__ volatile(\"\\n.ascii \\\"-> %c0 %c1 \\\"\" : : \"i\"(HIGH(value)), \"i\"((int)(value)))\n\
        void say(void);\nvoid say(void)\n{\n"
        .to_owned();
    for expression in expressions {
        writeln!(source, "    SAY({expression});").unwrap();
    }
    let source = write(directory, "say.c", &(source + "}\n"));
    let assembly = succeed(command().arg("-I").arg(root().join("include")).arg(source));
    let values: Vec<_> = assembly.split("-> ").skip(1).map(value).collect();
    assert_eq!(values.len(), expressions.len(), "{compiler:?}");
    Some(values)
}

/// A number from its two halves.
fn value(said: &str) -> i64 {
    let mut halves = said.split(' ').map(|half| half.parse::<i64>().unwrap());
    let (high, low) = (halves.next().unwrap(), halves.next().unwrap());
    (high << 32) | (low & 0xFFFF_FFFF)
}

/// What to measure, in the order of the table.
fn expressions(structs: &[Struct], constants: &[(String, Vec<String>)]) -> Vec<String> {
    let mut all = Vec::new();
    for Struct { name: of, members } in structs {
        all.push(format!("sizeof({of})"));
        for member in members.iter().map(|member| name(member)) {
            all.extend([format!("offsetof({of}, {member})"), format!("sizeof((({of} *)0)->{member})")]);
        }
    }
    all.extend(constants.iter().flat_map(|(_, names)| names.iter().cloned()));
    all
}

/// The values of a column: those of its first compiler that is installed, and the others have to agree.
fn column(directory: &Path, compilers: &[&[&str]], expressions: &[String]) -> Option<Vec<i64>> {
    let measured = |compiler: &&[&str]| Some((compiler.join(" "), measure(directory, compiler, expressions)?));
    let mut all = compilers.iter().filter_map(measured);
    let (first, values) = all.next()?;
    for (other, others) in all {
        for (expression, (one, two)) in expressions.iter().zip(values.iter().zip(others)) {
            assert_eq!(*one, two, "{expression} of `{first}` and of `{other}`");
        }
    }
    Some(values)
}

/// The table, for a person to read.
fn table(structs: &[Struct], constants: &[(String, Vec<String>)], columns: &[Vec<i64>; 3]) -> String {
    let mut at = 0;
    let mut next = || {
        at += 1;
        columns.each_ref().map(|values| values[at - 1])
    };
    let mut out = "# The layout of the ABI. It is written by `make layout`, after a change that is meant.\n\
        # Of a struct: its size. Of a member: its offset, its size, its declaration. Of a constant: its value, or three.\n#\n\
        #  64 bits         i386        armhf\n"
        .to_owned();
    for Struct { name, members } in structs {
        let [a, b, c] = next();
        writeln!(out, "\n{a:>10}   {b:>10}   {c:>10}   {name}").unwrap();
        for member in members {
            let (offsets, sizes) = (next(), next());
            let [a, b, c] = [0, 1, 2].map(|i| format!("{:>4} {:>5}", offsets[i], sizes[i]));
            writeln!(out, "{a}   {b}   {c}       {member}").unwrap();
        }
    }
    for (kind, names) in constants {
        writeln!(out, "\n{kind}").unwrap();
        for name in names {
            let [a, b, c] = next();
            let values = if a == b && b == c { a.to_string() } else { format!("{a} {b} {c}") };
            writeln!(out, "    {name:<40}{values}").unwrap();
        }
    }
    out
}

/// The values of a table by what they are of, as [`expressions`] has it.
pub fn read(table: &str) -> BTreeMap<String, [i64; 3]> {
    let mut values = BTreeMap::new();
    let mut of = "";
    for line in table.lines().filter(|line| line.starts_with(' ')) {
        let numbers: Vec<i64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        match numbers[..] {
            [a, b, c] if !line.contains("ENOS_") => {
                of = words(line).last().unwrap();
                values.insert(format!("sizeof({of})"), [a, b, c]);
            }
            [a, size_a, b, size_b, c, size_c] => {
                let member = name(line);
                values.insert(format!("offsetof({of}, {member})"), [a, b, c]);
                values.insert(format!("sizeof((({of} *)0)->{member})"), [size_a, size_b, size_c]);
            }
            [a] => drop(values.insert(words(line).next().unwrap().to_owned(), [a; 3])),
            [a, b, c] => drop(values.insert(words(line).next().unwrap().to_owned(), [a, b, c])),
            _ => panic!("{line}"),
        }
    }
    values
}

/// Measures the header that is there.
pub fn generate(mode: Mode) -> String {
    let (structs, constants) = (structs(&header()), constants(&header()));
    let (expressions, directory) = (expressions(&structs, &constants), tempfile::tempdir().unwrap());
    let known = match mode {
        Mode::Compare => read(&fs::read_to_string(root().join(PATH)).unwrap_or_default()),
        Mode::Write => BTreeMap::new(),
    };
    let mut at = 0..;
    let columns = COLUMNS.map(|(title, compilers)| {
        let at = at.next().unwrap();
        column(directory.path(), compilers, &expressions).unwrap_or_else(|| {
            assert!(mode == Mode::Compare, "none of {compilers:?} is installed");
            println!("skipped: the layout for {title}: none of {compilers:?} is installed");
            expressions.iter().map(|expression| known.get(expression).map_or(-1, |values| values[at])).collect()
        })
    });
    table(&structs, &constants, &columns)
}

//! `enos-generate <target>...` writes the generated files of these names; without arguments, all of them.

use std::process::ExitCode;

use generate::{File, FILES};

fn main() -> ExitCode {
    let targets: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = targets.iter().find(|target| File::named(target).is_none()) {
        let known: Vec<_> = FILES.iter().map(|file| file.target).collect();
        eprintln!("enos-generate: {unknown} is not one of {}", known.join(", "));
        return ExitCode::from(2);
    }
    for file in FILES.iter().filter(|file| targets.is_empty() || targets.iter().any(|target| target == file.target)) {
        file.write();
        println!("{}", file.path);
    }
    ExitCode::SUCCESS
}

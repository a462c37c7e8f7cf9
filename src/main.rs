//! The command line of imgtar; everything that it can do is in the library.

mod cli;

fn main() -> std::process::ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    cli::run(&arguments).into()
}

//! The command line of imgtar; everything that it can do is in the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}

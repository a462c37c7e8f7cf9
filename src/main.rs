//! The command line of imgtar; everything it knows how to do is in the library.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}

//! `completions`: what shells complete.

use clap_complete::Shell;

use super::{Context, Exit, Failure};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  imgtar completions bash > /etc/bash_completion.d/imgtar")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Args {
    pub(crate) fn run(&self, context: &Context) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::cli::parser(), "imgtar", &mut script);
        context.output.answer(|out| Ok(out.write_all(&script)?))?;
        Ok(Exit::Done)
    }
}

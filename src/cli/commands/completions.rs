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
        let script = String::from_utf8_lossy(&script);
        let script = match self.shell {
            Shell::Bash => with_files(&script),
            _ => script.into_owned(),
        };
        context
            .output
            .answer(|out| Ok(out.write_all(script.as_bytes())?))?;
        Ok(Exit::Done)
    }
}

/// The script for bash where an argument completes as a file name: the generator gives the options instead. With
/// nothing to choose from, bash completes file names itself, which it does better: directories get their slash,
/// and spaces are quoted. Words that are one of a list stay so.
fn with_files(script: &str) -> String {
    const CASE: &str = "        imgtar__subcmd__";
    // Options for the first word of a command.
    const OPTIONS_FIRST: &str = "if [[ ${cur} == -* || ${COMP_CWORD}";
    let mut has_files = false;
    let mut lines = Vec::new();
    for line in script.lines() {
        if let Some(command) = line.strip_prefix(CASE) {
            has_files = !command.starts_with("help") && !command.starts_with("completions");
        }
        let words = line.trim_start();
        let indent = &line[..line.len() - words.len()];
        lines.push(if !has_files {
            line.to_owned()
        } else if words == r#"COMPREPLY=($(compgen -f "${cur}"))"# {
            format!("{indent}COMPREPLY=()")
        } else if words.starts_with(OPTIONS_FIRST) {
            format!("{indent}if [[ ${{cur}} == -* ]] ; then")
        } else if words == r#"COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )"#
            && indent.len() == CASE_BODY
        {
            format!("{indent}COMPREPLY=()")
        } else {
            line.to_owned()
        });
    }
    lines.push(String::new());
    lines.join("\n")
}

/// How far what a case says outside of conditions is indented.
const CASE_BODY: usize = 12;

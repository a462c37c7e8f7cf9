//! Exit codes, the whole list.

use imgtar::Class;

/// What the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done; or the reader of the answer has closed the pipe.
    Done,
    /// The answer is no: `verify` found an error.
    No,
    /// The command line makes no sense. clap uses the same code.
    Usage,
    /// The archive is invalid, unsupported, or lacks what was asked for.
    Input,
    /// The environment failed: a file, a permission, a disk.
    Environment,
    /// A bug in imgtar (`EX_SOFTWARE` of `sysexits.h`).
    Bug,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Input => 3,
            Self::Environment => 4,
            Self::Bug => 70,
        }
    }
}

impl From<Class> for Exit {
    fn from(class: Class) -> Self {
        match class {
            Class::Usage => Self::Usage,
            Class::Input => Self::Input,
            Class::Environment => Self::Environment,
        }
    }
}

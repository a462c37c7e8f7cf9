//! The native half of the Python module `imgtar`, and the program. What people use is in `lib/imgtar/`: it gives the
//! answers here, which are the JSON of the library's reports, types and names.

mod archive;
#[path = "../../src/cli/mod.rs"]
mod cli;
mod errors;
mod files;
mod outputs;
mod work;

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the program with these arguments, its name first, and ends the process with its exit code.
#[pyfunction]
#[expect(
    clippy::disallowed_methods,
    reason = "the program has ended: it leaves no temporary file"
)]
fn run_program(py: Python<'_>, arguments: Vec<OsString>) {
    let code = py.detach(|| cli::run(&arguments));
    // Writes what standard output still holds.
    std::process::exit(code.into());
}

#[pymodule]
fn _imgtar(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<archive::NativeArchive>()?;
    module.add_class::<files::NativeEntries>()?;
    module.add_class::<files::NativeFile>()?;
    module.add_function(wrap_pyfunction!(archive::verify_path, module)?)?;
    module.add_function(wrap_pyfunction!(outputs::flatten, module)?)?;
    module.add_function(wrap_pyfunction!(outputs::convert, module)?)?;
    module.add_function(wrap_pyfunction!(outputs::select, module)?)?;
    module.add_function(wrap_pyfunction!(outputs::merge, module)?)?;
    module.add_function(wrap_pyfunction!(run_program, module)?)
}

//! imgtar against other programs, as processes: starting, reading and printing included.
//!
//! Peers that are not installed are left out. A ratio below 1 says that imgtar was faster.
//!
//! `IMGTAR_BENCH_ARCHIVE` names another archive than the synthetic one; it has to hold one image, of
//! which `skopeo inspect` can be asked without a name.
#![allow(
    clippy::disallowed_methods,
    reason = "a bench starts programs and makes files"
)]
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod support;

use support::{Contender, IMGTAR, Outcome, is_installed, ms, race, ratio, run};

fn main() -> Outcome {
    let path = support::archive()?;
    let path = path.to_str().ok_or("the path is no UTF-8")?;
    println!("peers: {path}");
    let docker_archive = format!("docker-archive:{path}");
    // Reads the descriptions alone.
    against(
        &["inspect", path],
        "skopeo",
        &["inspect", docker_archive.as_str()],
    )?;
    // Reads the headers of the outer tar alone; imgtar reads those of the layers too.
    against(&["images", path], "tar", &["-tf", path])?;
    // Hashes the whole file on one core; imgtar hashes what the layers claim, on all.
    against(&["verify", path], "sha256sum", &[path])
}

fn against(ours: &[&str], peer: &str, theirs: &[&str]) -> Outcome {
    let what = format!("imgtar {} : {peer}", ours[0]);
    if !is_installed(peer) {
        println!("  {what:<28} {peer} is not installed");
        return Ok(());
    }
    // Not every peer reads every archive.
    if let Err(error) = run(peer, theirs) {
        println!("  {what:<28} {error}");
        return Ok(());
    }
    let mut contenders: Vec<Contender<'_>> = vec![
        ("imgtar", Box::new(|| run(IMGTAR, ours))),
        (peer, Box::new(|| run(peer, theirs))),
    ];
    let times = race(&mut contenders)?;
    println!(
        "  {what:<28} {:>9.2} ms : {:>9.2} ms  ratio {:.3}",
        ms(times[0]),
        ms(times[1]),
        ratio(times[0], times[1])
    );
    Ok(())
}

//! Reports as HTML: one page, all in one file, without scripts.
//!
//! Text from archives is escaped twice: templates escape HTML in all inserted text, because of its type, and
//! everything that is written passes through [`Visible`], which makes invisible and control characters visible. The
//! page forbids the browser to load or run anything.

mod audit;
mod image;
mod layers;
mod style;
mod treemap;
mod verdict;
mod waste;
mod words;

use std::io::{self, Write};

use imgtar::base::escape;
use imgtar::report::{ArchiveReport, units};
use maud::{DOCTYPE, Markup, html};

use super::output::Stop;
use words::{count, size};

/// How many artifacts the page lists.
const OTHERS: usize = 100;

/// Writes the page of a report, one image at a time.
pub(crate) fn page(out: &mut dyn Write, report: &ArchiveReport<'_>) -> Result<(), Stop> {
    let mut out = Visible(out);
    out.write(&begin(report))?;
    for (number, image) in report.images.iter().enumerate() {
        out.write(&image::section(number, &image))?;
    }
    out.write(&rest(report))?;
    // Templates write whole elements; these two were left open for the images.
    Ok(out.0.write_all(b"</main></body></html>\n")?)
}

/// Makes invisible and control characters visible, wherever they are.
struct Visible<'w>(&'w mut dyn Write);

impl Visible<'_> {
    fn write(&mut self, markup: &Markup) -> io::Result<()> {
        let text = escape::text_but(&markup.0, "\n\t");
        self.0.write_all(text.as_bytes())
    }
}

/// The name of a file, of the whole path.
fn file_name(path: &str) -> &str {
    match path.rsplit(['/', '\\']).next() {
        Some(name) if !name.is_empty() => name,
        _ => path,
    }
}

fn title(report: &ArchiveReport<'_>) -> String {
    match report.verify.path.as_str() {
        "-" => "standard input".to_owned(),
        path => file_name(path).to_owned(),
    }
}

/// Everything before the images. Its last elements stay open.
fn begin(report: &ArchiveReport<'_>) -> Markup {
    let title = title(report);
    let head = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="generator" content={ "imgtar " (env!("CARGO_PKG_VERSION")) };
                title { (title) " – imgtar report" }
                (style::sheet())
            }
            body {
                main {
                    header {
                        h1 { (title) }
                        (facts(report))
                        (verdict::badge(&report.verify))
                    }
                    (contents(report))
                    (verdict::section(&report.verify))
                }
            }
        }
    };
    let open = head.0.trim_end_matches("</main></body></html>");
    maud::PreEscaped(open.to_owned())
}

/// The archive in a line.
fn facts(report: &ArchiveReport<'_>) -> Markup {
    html! {
        p.facts {
            @if let Some(archive) = &report.archive {
                span { (words::layout(archive)) }
                span { (size(archive.size)) }
                span { (count(report.images_in_archive, "image", "images")) }
                @if report.images.len() < report.images_in_archive {
                    span { (report.images.len()) " of them on this page" }
                }
                @if let Some(thin) = &archive.thin {
                    span { "thin: " (count(thin.layers, "layer", "layers")) " left out" }
                }
            } @else {
                span { "its images cannot be read" }
            }
        }
    }
}

/// Where the images are, if there are several.
fn contents(report: &ArchiveReport<'_>) -> Markup {
    html! {
        @if report.images.len() > 1 {
            nav aria-label="Images" {
                ul {
                    @for (number, image) in report.images.images().iter().enumerate() {
                        li {
                            a href={ "#image-" (number) } { (image.display_name()) }
                            @if !image.platform.is_unknown() { " " span.muted { (image.platform.to_string()) } }
                        }
                    }
                }
            }
        }
    }
}

/// What else the archive holds, and who made the page.
fn rest(report: &ArchiveReport<'_>) -> Markup {
    html! {
        @if !report.artifacts.is_empty() || !report.absent.is_empty() {
            section {
                h2 { "What else is in the archive" }
                div.scroll tabindex="0" role="region" aria-label="Artifacts" {
                    table {
                        thead { tr { th { "What" } th { "Digest" } th { "About" } } }
                        tbody {
                            @for artifact in report.artifacts.iter().take(OTHERS) {
                                tr {
                                    td { (words::shortened(&artifact.kind, 200)) }
                                    td { (words::digest(&artifact.digest)) }
                                    td { @if let Some(of) = &artifact.subject { (words::digest(of)) } }
                                }
                            }
                            @for absent in report.absent.iter().take(OTHERS) {
                                tr {
                                    td { "named but not in the archive" }
                                    td { (words::digest(&absent.digest)) }
                                    td { (absent.platform.as_deref().unwrap_or_default()) }
                                }
                            }
                        }
                    }
                }
                (words::more(report.artifacts.len(), OTHERS, "artifacts", "inspect"))
                (words::more(report.absent.len(), OTHERS, "absent manifests", "inspect"))
            }
        }
        @if report.images.is_empty() && report.archive.is_some() {
            section { p { "The archive holds no image." } }
        }
        footer {
            "Made by imgtar " (env!("CARGO_PKG_VERSION"))
            " from the archive alone; no image was loaded or run. Sizes are decimal: 1 kB is 1000 bytes. "
            "The same data as JSON: " code { "imgtar report " (report.verify.path) " --json" } "."
        }
    }
}

/// How a caption gives a number of bytes.
fn sized(bytes: u64, of: u64) -> String {
    if of == 0 {
        return units::size_spaced(bytes);
    }
    format!(
        "{} ({})",
        units::size_spaced(bytes),
        words::percent(bytes, of)
    )
}

//! Renders charts inside one process, one after the other: `render [--rounds N] FOLDER…`, or the folders on standard input, one a line.
//!
//! Every chart is read from disk, rendered with its own values and printed into memory, as `template rel FOLDER --namespace space`
//! would. Prints how many were rendered, and the seconds of the quickest round; folders that cannot be rendered are named on
//! standard error.

use std::{
    error::Error,
    hint::black_box,
    io::{BufRead as _, Write as _},
    path::Path,
    time::Instant,
};

use offline::{
    chart::{RenderOptions, TemplateText, render},
    source,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut rounds = 3;
    if arguments.first().is_some_and(|first| first == "--rounds") {
        rounds = arguments.get(1).ok_or("--rounds needs a number")?.parse::<usize>()?.max(1);
        arguments.drain(..2);
    }
    if arguments.is_empty() {
        arguments = std::io::stdin().lock().lines().collect::<Result<_, _>>()?;
    }
    let mut out = std::io::stdout().lock();
    let mut best = f64::MAX;
    for round in 0..rounds {
        let (mut rendered, mut bytes) = (0, 0);
        let started = Instant::now();
        for folder in &arguments {
            match one(Path::new(folder)) {
                Ok(text) => {
                    rendered += 1;
                    bytes += black_box(text).len();
                }
                Err(error) if round == 0 => writeln!(std::io::stderr(), "{folder}: {error}")?,
                Err(_) => {}
            }
        }
        best = best.min(started.elapsed().as_secs_f64());
        if round + 1 == rounds {
            writeln!(out, "{rendered} charts, {bytes} bytes, {best:.4} s")?;
        }
    }
    Ok(())
}

fn one(folder: &Path) -> Result<String, Box<dyn Error>> {
    let chart = source::chart(folder)?;
    let rendered = render(&chart, &serde_json::Map::new(), &RenderOptions::new("rel", "space"))?;
    Ok(rendered.template_text(TemplateText::default()))
}

//! Renders charts inside one process: `render [--rounds N] [--threads N] FOLDER…`, or the folders on standard input, one a line. As many at
//! a time as the machine has processors, at most four, as `images` and `export` do; `--threads 1` is one after the other.
//!
//! Every chart is read from disk, rendered with its own values and printed into memory, as `template rel FOLDER --namespace space`
//! would. Prints how many were rendered, and the seconds of the quickest round; folders that cannot be rendered are named on
//! standard error.

use std::{
    error::Error,
    hint::black_box,
    io::{BufRead as _, Write as _},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use offline::{
    chart::{RenderOptions, TemplateText, render},
    source,
};

/// Charts at a time (`AT_ONCE` of `ops::prepare`).
const AT_ONCE: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let (mut rounds, mut threads) = (3, thread::available_parallelism().map_or(1, usize::from).min(AT_ONCE));
    while let Some(flag) = arguments.first().filter(|first| ["--rounds", "--threads"].contains(&first.as_str())) {
        let number = arguments.get(1).ok_or("it needs a number")?.parse::<usize>()?.max(1);
        *if flag == "--rounds" { &mut rounds } else { &mut threads } = number;
        arguments.drain(..2);
    }
    if arguments.is_empty() {
        arguments = std::io::stdin().lock().lines().collect::<Result<_, _>>()?;
    }
    let mut out = std::io::stdout().lock();
    let mut best = f64::MAX;
    for round in 0..rounds {
        let started = Instant::now();
        let Tally { rendered, bytes, wrong } = all(&arguments, threads);
        if round == 0 {
            wrong.iter().try_for_each(|line| writeln!(std::io::stderr(), "{line}"))?;
        }
        best = best.min(started.elapsed().as_secs_f64());
        if round + 1 == rounds {
            writeln!(out, "{rendered} charts, {bytes} bytes, {threads} at a time, {best:.4} s")?;
        }
    }
    Ok(())
}

/// What was rendered.
#[derive(Default)]
struct Tally {
    rendered: usize,
    bytes: usize,
    wrong: Vec<String>,
}

fn all(folders: &[String], threads: usize) -> Tally {
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(folder) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let text = one(Path::new(folder));
                    let mut tally = tally.lock().expect("no thread panics while it counts");
                    match text {
                        Ok(text) => {
                            tally.rendered += 1;
                            tally.bytes += black_box(text).len();
                        }
                        Err(error) => tally.wrong.push(format!("{folder}: {error}")),
                    }
                }
            });
        }
    });
    tally.into_inner().expect("no thread panics while it counts")
}

fn one(folder: &Path) -> Result<String, Box<dyn Error>> {
    let chart = source::chart(folder)?;
    let rendered = render(&chart, &serde_json::Map::new(), &RenderOptions::new("rel", "space"))?;
    Ok(rendered.template_text(TemplateText::default()))
}

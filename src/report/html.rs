//! One page that tells what is in an archive: no script, nothing from elsewhere, light and dark, on paper and on a phone.
//!
//! Whatever comes from the archive goes through `escaped`; there is no other way into the page, and its policy lets nothing run or load.

use std::fmt::Write as _;

use super::text;
use crate::{
    archive::Standing,
    delivery::record::Origin,
    ops::inspect::{ImageInfo, InspectOutcome, LayerInfo},
};

const STYLE: &str = include_str!("html.css");
/// So many layers are shown; the rest are told in one line.
const LAYERS_SHOWN: usize = 40;
/// So many places that named an image are shown.
const ORIGINS_SHOWN: usize = 200;

/// A text as HTML shows it, in content and in attributes. What cannot be shown, or turns the direction of the line, is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Unicode's bidirectional controls show `gpj.exe` as `exe.jpg` (UTR 36).
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The page.
pub fn page(o: &InspectOutcome) -> String {
    let mut out = String::new();
    let title = escaped(&format!("{} {}", o.name, o.version));
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n<main>\n"
    );
    head(&mut out, o);
    apps(&mut out, o);
    images(&mut out, o);
    layers(&mut out, o);
    charts(&mut out, o);
    signatures(&mut out, o);
    attestations(&mut out, o);
    files(&mut out, o);
    let _ = write!(
        out,
        "<footer>{} Layers were not read for this page; <code>kubectl offline verify</code> checks every byte.</footer>\n</main>\n</html>\n",
        escaped(&format!("{}.", o.archive.file_name().unwrap_or(o.archive.as_os_str()).to_string_lossy()))
    );
    out
}

fn head(out: &mut String, o: &InspectOutcome) {
    let (class, words) = match &o.signature {
        Standing::Signed { .. } => ("good", text::standing(&o.signature)),
        Standing::Unchecked => ("bad", "signature not checked: no key was given".to_owned()),
        Standing::Unsigned => ("bad", "not signed".to_owned()),
    };
    let platforms = o.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let _ = writeln!(out, "<h1>{}<small>{}</small></h1>\n<p class=\"dim\">for {}</p>", escaped(&o.name), escaped(&o.version), escaped(&platforms));
    if let Some(registry) = &o.registry {
        let _ = writeln!(out, "<p class=\"dim\">images are called <code>{}/…</code> on the other side</p>", escaped(registry));
    }
    let _ = writeln!(out, "<p class=\"mark {class}\">{}</p>", escaped(&words));
    // What it would be if every image carried all of its layers.
    let apart: u64 = o.layers.iter().map(|layer| layer.size * layer.images.len() as u64).sum();
    let once: u64 = o.layers.iter().map(|layer| layer.size).sum();
    let figures = [
        (text::bytes(o.size), "in all"),
        (o.apps.len().to_string(), "apps"),
        (o.images.len().to_string(), "images"),
        (text::bytes(apart - once), "saved by shared layers"),
    ];
    out.push_str("<div class=\"figures\">");
    for (figure, words) in figures {
        let _ = write!(out, "<div><b>{}</b><span>{words}</span></div>", escaped(&figure));
    }
    out.push_str("</div>\n");
}

/// A heading and a list; nothing where there is nothing to list.
fn section(out: &mut String, title: &str, rows: &[String]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(out, "<h2>{title}</h2>\n<ul class=\"rows\">");
    for row in rows {
        let _ = writeln!(out, "<li>{row}</li>");
    }
    out.push_str("</ul>\n");
}

/// A name, something on the right, and a line below. None of them is escaped here.
fn row(name: &str, right: &str, below: &str) -> String {
    let mut out = format!("<div class=\"head\"><b>{name}</b><span class=\"size\">{right}</span></div>");
    if !below.is_empty() {
        let _ = write!(out, "<div class=\"small\">{below}</div>");
    }
    out
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

fn apps(out: &mut String, o: &InspectOutcome) {
    let rows: Vec<String> = o
        .apps
        .iter()
        .map(|app| {
            let after = if app.depends_on.is_empty() { String::new() } else { format!(", after {}", app.depends_on.join(", ")) };
            row(&escaped(&app.name), "", &format!("{}<br>in namespace {}", escaped(&app.source), escaped(&format!("{}{after}", app.namespace))))
        })
        .collect();
    section(out, "Apps, in the order of their installation", &rows);
}

/// Per mille of a whole.
fn share(part: u64, whole: u64) -> u64 {
    if whole == 0 { 0 } else { u64::try_from(u128::from(part) * 1000 / u128::from(whole)).unwrap_or(1000) }
}

fn images(out: &mut String, o: &InspectOutcome) {
    let largest = o.images.iter().map(|image| image.size).max().unwrap_or(0);
    let rows: Vec<String> = o.images.iter().map(|image| image_row(image, largest)).collect();
    section(out, "Images", &rows);
    if !rows.is_empty() {
        out.push_str("<p class=\"small key\"><span><i class=\"own\"></i>its own</span><span><i class=\"shared\"></i>shared with other images</span></p>\n");
    }
}

fn image_row(image: &ImageInfo, largest: u64) -> String {
    let own = image.size - image.shared;
    let part = |bytes| {
        let mille = share(bytes, largest);
        format!("{}.{}%", mille / 10, mille % 10)
    };
    let bar =
        format!("<div class=\"bar\"><i class=\"own\" style=\"width:{}\"></i><i class=\"shared\" style=\"width:{}\"></i></div>", part(own), part(image.shared));
    let platforms = image.platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let words = format!("{} own, {} shared", text::bytes(own), text::bytes(image.shared));
    let below = format!(
        "{}{}<br>{}",
        escaped(&words),
        if platforms.is_empty() { String::new() } else { format!(" · {}", escaped(&platforms)) },
        code(image.digest.as_str())
    );
    let name = format!("<span class=\"mono\">{}</span>", escaped(&image.reference.to_string()));
    format!(
        "<div class=\"head\"><b>{name}</b><span class=\"size\">{}</span></div>{bar}<div class=\"small\">{below}</div>{}",
        text::bytes(image.size),
        origins(&image.origins)
    )
}

fn origins(origins: &[Origin]) -> String {
    if origins.is_empty() {
        return String::new();
    }
    let mut out = format!("<details><summary>named by {} {}</summary><ul>", origins.len(), if origins.len() == 1 { "place" } else { "places" });
    for origin in origins.iter().take(ORIGINS_SHOWN) {
        let words = [&origin.app, &origin.profile, &origin.cluster, &origin.object, &origin.template].into_iter().flatten().chain([&origin.path]);
        let _ = write!(out, "<li>{}</li>", words.map(|word| escaped(word)).collect::<Vec<_>>().join(" · "));
    }
    if origins.len() > ORIGINS_SHOWN {
        let _ = write!(out, "<li>and {} more</li>", origins.len() - ORIGINS_SHOWN);
    }
    out.push_str("</ul></details>");
    out
}

fn layers(out: &mut String, o: &InspectOutcome) {
    let largest = o.layers.first().map_or(0, |layer| layer.size);
    let mut rows: Vec<String> = o.layers.iter().take(LAYERS_SHOWN).map(|layer| layer_row(layer, largest)).collect();
    if o.layers.len() > LAYERS_SHOWN {
        let rest: u64 = o.layers[LAYERS_SHOWN..].iter().map(|layer| layer.size).sum();
        rows.push(row(&format!("{} smaller layers", o.layers.len() - LAYERS_SHOWN), &text::bytes(rest), ""));
    }
    section(out, "Layers, the largest first", &rows);
}

fn layer_row(layer: &LayerInfo, largest: u64) -> String {
    let (class, whose) = if layer.images.len() > 1 { ("shared", format!("in {} images", layer.images.len())) } else { ("own", String::new()) };
    let names = layer.images.iter().map(|name| escaped(&name.to_string())).collect::<Vec<_>>();
    let below = if layer.images.len() > 1 {
        format!("<details><summary>{whose}</summary><ul><li>{}</li></ul></details>", names.join("</li><li>"))
    } else {
        format!("<div class=\"small\">{}</div>", names.concat())
    };
    let mille = share(layer.size, largest);
    format!(
        "<div class=\"head\"><span>{}</span><span class=\"size\">{}</span></div><div class=\"bar\"><i class=\"{class}\" style=\"width:{}.{}%\"></i></div>{below}",
        code(&format!("sha256:{}", layer.digest.short())),
        text::bytes(layer.size),
        mille / 10,
        mille % 10
    )
}

fn charts(out: &mut String, o: &InspectOutcome) {
    let rows: Vec<String> =
        o.charts.iter().map(|chart| row(&escaped(chart.name.trim_start_matches("charts/")), &text::bytes(chart.size), &code(chart.digest.as_str()))).collect();
    section(out, "Charts", &rows);
}

fn signatures(out: &mut String, o: &InspectOutcome) {
    let rows: Vec<String> = o
        .signatures
        .iter()
        .map(|signature| {
            let hint = signature.key_hint.as_deref().map_or_else(|| "it names no key".to_owned(), |hint| format!("names the key {}", code(hint)));
            row(&escaped(&signature.entry), "", &hint)
        })
        .collect();
    section(out, "Signatures of the archive", &rows);
}

fn attestations(out: &mut String, o: &InspectOutcome) {
    let rows: Vec<String> = o
        .attestations
        .iter()
        .map(|one| {
            let subject = one.subject.as_ref().map(|subject| {
                let name = o.images.iter().find(|image| image.digest == *subject).map(|image| image.reference.to_string());
                format!("about {}<br>", code(name.as_deref().unwrap_or(subject.as_str())))
            });
            row(&escaped(&one.kind), &text::bytes(one.size), &format!("{}{}", subject.unwrap_or_default(), code(one.digest.as_str())))
        })
        .collect();
    section(out, "Signatures, attestations and contents lists (SBOM) of images", &rows);
}

fn files(out: &mut String, o: &InspectOutcome) {
    let files = o.files.iter().map(|file| row(&escaped(&file.path), &text::bytes(file.size), ""));
    section(out, "Files", &files.collect::<Vec<_>>());
    let agents = o.agents.iter().map(|agent| row(&escaped(&agent.platform.to_string()), &text::bytes(agent.size), &code(agent.digest.as_str())));
    section(out, "Programs for nodes", &agents.collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        oci::Digest,
        ops::inspect::{AppInfo, AttestationInfo, ChartInfo, FileInfo, SignatureInfo},
    };

    const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;\u{202e}\u{1b}[2J</style>";

    fn hostile() -> InspectOutcome {
        let digest = Digest::of(b"x");
        let reference: crate::oci::Reference = "a".parse().unwrap();
        let word = || HOSTILE.to_owned();
        let origin = Origin { app: Some(word()), template: Some(word()), object: Some(word()), path: word(), ..Origin::default() };
        InspectOutcome {
            archive: word().into(),
            name: word(),
            version: word(),
            size: 0,
            signature: Standing::Unchecked,
            signatures: vec![SignatureInfo { entry: word(), key_hint: Some(word()) }],
            platforms: Vec::new(),
            registry: Some(word()),
            apps: vec![AppInfo { name: word(), namespace: word(), depends_on: vec![word()], source: word(), digest: digest.clone() }],
            images: vec![ImageInfo { reference: reference.clone(), digest: digest.clone(), platforms: Vec::new(), size: 0, shared: 0, origins: vec![origin] }],
            charts: vec![ChartInfo { name: word(), digest: digest.clone(), size: 1 }],
            layers: vec![LayerInfo { digest: digest.clone(), size: 0, images: vec![reference.clone(), reference] }],
            attestations: vec![AttestationInfo { kind: word(), subject: Some(digest.clone()), digest: digest.clone(), size: 1 }],
            agents: Vec::new(),
            base: None,
            files: vec![FileInfo { path: word(), digest, size: 1 }],
        }
    }

    #[test]
    fn whatever_an_archive_says_stays_text() {
        let page = page(&hostile());
        let body = page.split_once("</style>").unwrap().1;
        for forbidden in ["<script", "<img", "</style>", "onerror=alert(1)>", "\u{202e}", "\u{1b}"] {
            assert!(!body.contains(forbidden), "{forbidden} is in the page");
        }
        // Every tag is one of ours, and only ours have attributes.
        let ours = ["main", "h1", "h2", "small", "p", "div", "b", "span", "ul", "li", "br", "i", "code", "details", "summary", "footer", "html"];
        for tag in body.split('<').skip(1) {
            let name: String = tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
            assert!(ours.contains(&name.as_str()), "<{tag}");
        }
        assert!(body.matches("&lt;script&gt;").count() > 10);
    }

    #[test]
    fn nothing_is_loaded_and_nothing_runs() {
        let page = page(&hostile());
        assert!(page.contains("default-src 'none'"));
        for word in ["<link", "url(", "@import", " src=", "href="] {
            assert!(!page.replace("src=x onerror", "").contains(word), "{word}");
        }
    }
}

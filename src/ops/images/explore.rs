//! `images --explore`: every switch of a chart's values turned once, alone.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    chart::{self, RemoteSchemas, RenderOptions},
    delivery::Delivery,
    failure::Failure,
    images::{Face, ImageSet, Rendering, Switch, discover, switches},
    oci::Reference,
    ops::{
        charts::{ChartSet, hosts},
        faces,
        prepare::{Loaded, load_app, objects_of},
    },
    parallel,
    progress::SharedReporter,
    source::SchemaDocuments,
};

/// Switches of one app that are turned.
const SWITCHES_MAX: usize = 400;
/// Time for one app. What is running then is waited for.
const TIME_MAX: Duration = Duration::from_mins(2);
/// Charts that are rendered at the same time.
const AT_ONCE: usize = 4;
/// Renderings of an app to see what brings its guesses, beside the switches.
pub(super) const TRIALS: usize = 60;
/// Switches that are named for one image.
const NAMED_MAX: usize = 5;

/// An image that no rendering of the delivery has, but one with a switch turned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Explored {
    /// The app.
    pub app: String,
    /// The image.
    #[schemars(with = "String")]
    pub reference: Reference,
    /// Switches each of which brings it, as after `--set`; the first five.
    pub switches: Vec<String>,
}

/// Turns the switches of all charts.
pub(super) fn explore(delivery: &Delivery, charts: &ChartSet, known: &ImageSet, reporter: &SharedReporter) -> Result<Vec<Explored>, Failure> {
    let mut all = Vec::new();
    let schemas: Arc<dyn RemoteSchemas> = Arc::new(SchemaDocuments::new(hosts(delivery)));
    for app in delivery.install_order() {
        let (loaded, _, values) = load_app(delivery, app, charts)?;
        let Loaded::Chart(found) = loaded else { continue };
        let mut turned = switches(&found.chart, &values);
        if turned.len() > SWITCHES_MAX {
            reporter.note(format!("app {}: {} of {} switches are turned, those nearest to the root", app.name, SWITCHES_MAX, turned.len()));
            turned.truncate(SWITCHES_MAX);
        }
        reporter.step(format!("turning {} switches of app {}", turned.len(), app.name));
        let options = RenderOptions { remote_schemas: schemas.clone(), parsed: Some(Arc::default()), ..faces::looking(&app.name, &app.namespace) };
        let started = Instant::now();
        let found: Vec<Option<ImageSet>> = parallel::map(AT_ONCE, &turned, |switch: &Switch| {
            if started.elapsed() > TIME_MAX {
                return None;
            }
            let mut images = ImageSet::new();
            // With a switch turned many a chart wants further values; that says nothing about the delivery.
            if let Ok(rendered) = chart::render(&found.chart, &switch.turn(&values), &options)
                && let Ok(documents) = objects_of(&rendered).collect::<Result<Vec<_>, _>>()
            {
                let documents = documents.concat();
                discover(Rendering { app: &app.name, face: &Face::default(), documents: &documents, exclude: &app.images_exclude }, &mut images);
            }
            Some(images)
        });
        let skipped = found.iter().filter(|images| images.is_none()).count();
        if skipped > 0 {
            reporter.note(format!("app {}: no time for {skipped} of {} switches", app.name, turned.len()));
        }
        let mut by_image: BTreeMap<Reference, Vec<String>> = BTreeMap::new();
        for (switch, images) in turned.iter().zip(found) {
            for (image, evidence) in images.iter().flat_map(ImageSet::iter) {
                let proven =
                    known.get(image).is_some_and(|evidence| evidence.guess().is_none() && evidence.origins().iter().any(|origin| origin.object.is_some()));
                if !proven && evidence.guess().is_none() {
                    by_image.entry(image.clone()).or_default().push(switch.written());
                }
            }
        }
        all.extend(by_image.into_iter().map(|(reference, mut switches)| {
            switches.truncate(NAMED_MAX);
            Explored { app: app.name.clone(), reference, switches }
        }));
    }
    Ok(all)
}

//! Image records, and what CRI makes of them.

use tonic::{Code, Status};

use super::{Containerd, Descriptor, messages, unless_exists};
use crate::error::{Error, Result};

/// Keeps the kubelet's image collection away, from containerd 1.6.22 and 1.7.3 on.
///
/// It is the only label of CRI's that we set. With `io.cri-containerd.image` CRI would take the record for its own and never make the one that
/// is named by the image's id (internal/cri/server/images, `UpdateImage`).
const PIN: (&str, &str) = ("io.cri-containerd.pinned", "pinned");

/// CRI before containerd 1.6 speaks only v1alpha2, since 2.0 only v1.
const IMAGE_STATUS: [&str; 2] = ["/runtime.v1.ImageService/ImageStatus", "/runtime.v1alpha2.ImageService/ImageStatus"];

impl Containerd {
    /// Names an image and pins it. Says whether anything had to be changed.
    pub(crate) async fn record(&self, name: &str, target: &Descriptor) -> Result<bool> {
        let question = messages::GetImage { name: name.to_owned() };
        let has: std::result::Result<messages::OneImage, Status> = self.unary("/containerd.services.images.v1.Images/Get", question).await;
        match has {
            Ok(messages::OneImage { image: Some(image) }) => {
                let same = image.target.as_ref().is_some_and(|t| t.digest == target.digest && t.media_type == target.media_type);
                if same && image.labels.get(PIN.0).map(String::as_str) == Some(PIN.1) {
                    return Ok(false);
                }
            }
            Err(e) if e.code() != Code::NotFound => return Err(Error::runtime(format!("looking for image {name}"), &e)),
            _ => {
                let question = messages::OneImage { image: Some(pinned(name, target)) };
                let made: std::result::Result<messages::OneImage, Status> = self.unary("/containerd.services.images.v1.Images/Create", question).await;
                if unless_exists(made).map_err(|e| Error::runtime(format!("naming image {name}"), &e))?.is_some() {
                    return Ok(true);
                }
            }
        }
        self.touch(name, target).await.map(|()| true)
    }

    /// What a name stands for, where there is such a record.
    pub(crate) async fn target(&self, name: &str) -> Result<Option<Descriptor>> {
        let question = messages::GetImage { name: name.to_owned() };
        match self.unary::<_, messages::OneImage>("/containerd.services.images.v1.Images/Get", question).await {
            Ok(answer) => Ok(answer.image.and_then(|image| image.target)),
            Err(e) if e.code() == Code::NotFound => Ok(None),
            Err(e) => Err(Error::runtime(format!("looking for image {name}"), &e)),
        }
    }

    /// Writes a record that is there, so that CRI gets an event and looks at it.
    pub(crate) async fn touch(&self, name: &str, target: &Descriptor) -> Result<()> {
        // Field by field: with `labels` as a whole those of CRI would be wiped.
        let mask = Some(messages::FieldMask { paths: vec!["target".to_owned(), format!("labels.{}", PIN.0)] });
        let question = messages::UpdateImage { image: Some(pinned(name, target)), mask };
        let done: std::result::Result<messages::OneImage, Status> = self.unary("/containerd.services.images.v1.Images/Update", question).await;
        done.map(|_| ()).map_err(|e| Error::runtime(format!("renaming image {name}"), &e))
    }

    /// Exactly the question that the kubelet asks before it starts a container.
    pub(crate) async fn image_status(&self, name: &str) -> Result<Option<messages::CriImage>> {
        let mut last = None;
        for path in IMAGE_STATUS {
            let question = messages::ImageStatusRequest { image: Some(messages::ImageSpec { image: name.to_owned() }) };
            match self.unary::<_, messages::ImageStatusResponse>(path, question).await {
                Ok(answer) => return Ok(answer.image),
                Err(e) if e.code() == Code::Unimplemented => last = Some(e),
                Err(e) => return Err(Error::runtime(format!("asking CRI for image {name}"), &e)),
            }
        }
        let status = last.unwrap_or_else(|| Status::unimplemented("no version of CRI"));
        Err(Error::runtime(format!("asking CRI for image {name}"), &status))
    }
}

fn pinned(name: &str, target: &Descriptor) -> messages::Image {
    messages::Image { name: name.to_owned(), labels: [(PIN.0.to_owned(), PIN.1.to_owned())].into(), target: Some(target.clone()) }
}

//! Protocol buffers of containerd's API and of CRI, as far as they are used: fields that we neither set nor read are left out, which the
//! encoding allows. Numbers are those of containerd/api/services/*/v1/*.proto and of cri-api/pkg/apis/runtime/v1/api.proto.
//!
//! Written by hand: the generated crate would need `protoc` to build, and most of what it has would have to be thrown out again by the linker.

use std::collections::HashMap;

use bytes::{BufMut as _, Bytes};
use prost::{
    Message,
    encoding::{WireType, encode_key, encode_varint},
};

pub(super) type Labels = HashMap<String, String>;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Descriptor {
    #[prost(string, tag = "1")]
    pub(crate) media_type: String,
    #[prost(string, tag = "2")]
    pub(crate) digest: String,
    #[prost(int64, tag = "3")]
    pub(crate) size: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldMask {
    #[prost(string, repeated, tag = "1")]
    pub(super) paths: Vec<String>,
}

// version.proto

#[derive(Clone, PartialEq, Message)]
pub(super) struct VersionResponse {
    #[prost(string, tag = "1")]
    pub(super) version: String,
}

// leases.proto

#[derive(Clone, PartialEq, Message)]
pub(super) struct CreateLease {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(map = "string, string", tag = "3")]
    pub(super) labels: Labels,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeleteLease {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(bool, tag = "2")]
    pub(super) sync: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) kind: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AddResource {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) resource: Option<Resource>,
}

// content.proto

#[derive(Clone, PartialEq, Message)]
pub(super) struct Info {
    #[prost(string, tag = "1")]
    pub(super) digest: String,
    #[prost(int64, tag = "2")]
    pub(super) size: i64,
    #[prost(map = "string, string", tag = "5")]
    pub(super) labels: Labels,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct InfoRequest {
    #[prost(string, tag = "1")]
    pub(super) digest: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct InfoResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) info: Option<Info>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct UpdateInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) info: Option<Info>,
    #[prost(message, optional, tag = "2")]
    pub(super) mask: Option<FieldMask>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadRequest {
    #[prost(string, tag = "1")]
    pub(super) digest: String,
    #[prost(int64, tag = "2")]
    pub(super) offset: i64,
    #[prost(int64, tag = "3")]
    pub(super) size: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadResponse {
    #[prost(bytes = "vec", tag = "2")]
    pub(super) data: Vec<u8>,
}

/// For `Status` and `Abort`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct IngestRef {
    #[prost(string, tag = "1")]
    pub(super) reference: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct IngestStatus {
    #[prost(int64, tag = "4")]
    pub(super) offset: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<IngestStatus>,
}

/// `WriteAction` in content.proto.
pub(super) mod action {
    pub(crate) const STAT: i32 = 0;
    pub(crate) const WRITE: i32 = 1;
    pub(crate) const COMMIT: i32 = 2;
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    #[prost(int32, tag = "1")]
    pub(super) action: i32,
    #[prost(string, tag = "2")]
    pub(super) reference: String,
    #[prost(int64, tag = "3")]
    pub(super) total: i64,
    #[prost(string, tag = "4")]
    pub(super) expected: String,
    #[prost(int64, tag = "5")]
    pub(super) offset: i64,
    // Field 6 is the data; [`WriteRequest::head`] leaves room for it.
}

impl WriteRequest {
    /// All of the message but its data, as it stands in a stream (gRPC over HTTP/2, "Length-Prefixed-Message"): so many bytes of data follow it, which
    /// are not copied to be sent.
    pub(super) fn head(&self, data: usize) -> Bytes {
        const DATA: u32 = 6;
        let mut fields = self.encode_to_vec();
        if data > 0 {
            encode_key(DATA, WireType::LengthDelimited, &mut fields);
            encode_varint(data as u64, &mut fields);
        }
        let mut head = Vec::with_capacity(5 + fields.len());
        head.put_u8(0); // not compressed
        head.put_u32(u32::try_from(fields.len() + data).unwrap_or(u32::MAX));
        head.append(&mut fields);
        head.into()
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteResponse {
    #[prost(int32, tag = "1")]
    pub(super) action: i32,
    #[prost(int64, tag = "4")]
    pub(super) offset: i64,
}

// snapshots.proto and diff.proto

#[derive(Clone, PartialEq, Message)]
pub(super) struct Prepare {
    #[prost(string, tag = "1")]
    pub(super) snapshotter: String,
    #[prost(string, tag = "2")]
    pub(super) key: String,
    #[prost(string, tag = "3")]
    pub(super) parent: String,
    #[prost(map = "string, string", tag = "4")]
    pub(super) labels: Labels,
}

/// Mounts are not looked into but handed on from `Prepare` to `Apply`. As bytes (the same on the wire as messages) they keep every field,
/// those of later versions too.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Mounts {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) mounts: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommitSnapshot {
    #[prost(string, tag = "1")]
    pub(super) snapshotter: String,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) key: String,
}

/// For `Stat` and `Remove`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SnapshotKey {
    #[prost(string, tag = "1")]
    pub(super) snapshotter: String,
    #[prost(string, tag = "2")]
    pub(super) key: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Apply {
    #[prost(message, optional, tag = "1")]
    pub(super) diff: Option<Descriptor>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) mounts: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Applied {
    #[prost(message, optional, tag = "1")]
    pub(super) applied: Option<Descriptor>,
}

// images.proto

#[derive(Clone, PartialEq, Message)]
pub(super) struct Image {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(map = "string, string", tag = "2")]
    pub(super) labels: Labels,
    #[prost(message, optional, tag = "3")]
    pub(super) target: Option<Descriptor>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct GetImage {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// For `Get`'s answer and as the question of `Create`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct OneImage {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct UpdateImage {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<Image>,
    #[prost(message, optional, tag = "2")]
    pub(super) mask: Option<FieldMask>,
}

// containers.proto

#[derive(Clone, PartialEq, Message)]
pub(super) struct Filters {
    #[prost(string, repeated, tag = "1")]
    pub(super) filters: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Container {
    #[prost(string, tag = "6")]
    pub(super) snapshotter: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Containers {
    #[prost(message, repeated, tag = "1")]
    pub(super) containers: Vec<Container>,
}

// CRI, api.proto

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImageSpec {
    #[prost(string, tag = "1")]
    pub(super) image: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImageStatusRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CriImage {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(bool, tag = "8")]
    pub(crate) pinned: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ImageStatusResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<CriImage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field by field, as the protocol buffers encoding guide says: tag = number << 3 | wire type.
    #[test]
    fn encodings_are_those_of_the_proto_files() {
        let write = WriteRequest { action: action::COMMIT, reference: "r".into(), total: 3, expected: "e".into(), offset: 2 };
        assert_eq!(write.head(0)[..], [0, 0, 0, 0, 12, 8, 2, 18, 1, b'r', 24, 3, 34, 1, b'e', 40, 2]);
        assert_eq!(write.head(300)[..], [0, 0, 0, 1, 59, 8, 2, 18, 1, b'r', 24, 3, 34, 1, b'e', 40, 2, 50, 0xac, 2]);
        let image = OneImage {
            image: Some(Image {
                name: "n".into(),
                labels: [("k".to_owned(), "v".to_owned())].into(),
                target: Some(Descriptor { media_type: "m".into(), digest: "d".into(), size: 1 }),
            }),
        };
        assert_eq!(image.encode_to_vec(), [10, 21, 10, 1, b'n', 18, 6, 10, 1, b'k', 18, 1, b'v', 26, 8, 10, 1, b'm', 18, 1, b'd', 24, 1]);
        let status = ImageStatusRequest { image: Some(ImageSpec { image: "i".into() }) };
        assert_eq!(status.encode_to_vec(), [10, 3, 10, 1, b'i']);
    }

    #[test]
    fn mounts_pass_through_with_fields_that_we_do_not_know() {
        let mount = [10, 1, b't', 18, 1, b's', 250, 1, 1, b'x'];
        let mut answer = vec![10, u8::try_from(mount.len()).unwrap()];
        answer.extend(mount);
        let mounts = Mounts::decode(answer.as_slice()).unwrap().mounts;
        assert_eq!(mounts, [mount]);
        let apply = Apply { diff: None, mounts };
        assert_eq!(apply.encode_to_vec()[2..], mount);
    }

    #[test]
    fn unknown_fields_of_answers_are_skipped() {
        // Info with created_at (3) before labels.
        let bytes = [10, 16, 10, 1, b'd', 16, 5, 26, 1, 0, 42, 6, 10, 1, b'k', 18, 1, b'v'];
        let mut bytes = bytes.to_vec();
        bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
        let info = InfoResponse::decode(bytes.as_slice()).unwrap().info.unwrap();
        assert_eq!((info.digest.as_str(), info.size, info.labels["k"].as_str()), ("d", 5, "v"));
    }
}

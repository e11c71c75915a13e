//! Protocol buffers of containerd's image and content services, as far as they are asked: fields that are not read are left out, which the
//! encoding allows (containerd, api/services/images/v1/images.proto and content/v1/content.proto).

use bytes::Bytes;
use prost::Message;

/// `GetImageRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GetImage {
    #[prost(string, tag = "1")]
    pub(super) name: String,
}

/// `GetImageResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GotImage {
    #[prost(message, optional, tag = "1")]
    pub(super) image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Image {
    #[prost(message, optional, tag = "3")]
    pub(super) target: Option<Target>,
}

/// `types.Descriptor`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Target {
    #[prost(string, tag = "1")]
    pub(super) media_type: String,
    #[prost(string, tag = "2")]
    pub(super) digest: String,
    #[prost(int64, tag = "3")]
    pub(super) size: i64,
}

/// `InfoRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GetInfo {
    #[prost(string, tag = "1")]
    pub(super) digest: String,
}

/// `InfoResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct GotInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) info: Option<Info>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Info {
    #[prost(int64, tag = "2")]
    pub(super) size: i64,
}

/// `ReadContentRequest`; with a size of nothing, to the end.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Read {
    #[prost(string, tag = "1")]
    pub(super) digest: String,
    #[prost(int64, tag = "2")]
    pub(super) offset: i64,
}

/// `ReadContentResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Piece {
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) data: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field by field, as the protocol buffers encoding guide says: tag = number << 3 | wire type.
    #[test]
    fn encodings_are_those_of_the_proto_files() {
        assert_eq!(GetImage { name: "n".into() }.encode_to_vec(), [10, 1, b'n']);
        assert_eq!(Read { digest: "d".into(), offset: 300 }.encode_to_vec(), [10, 1, b'd', 16, 172, 2]);
        // An image with name, labels, target (with annotations) and a time.
        let target = [10, 1, b'm', 18, 1, b'd', 24, 5, 42, 6, 10, 1, b'k', 18, 1, b'v'];
        let mut image = vec![10, 1, b'n', 18, 6, 10, 1, b'k', 18, 1, b'v', 26, u8::try_from(target.len()).unwrap()];
        image.extend(target);
        image.extend([58, 2, 8, 1]);
        let mut answer = vec![10, u8::try_from(image.len()).unwrap()];
        answer.extend(image);
        let found = GotImage::decode(answer.as_slice()).unwrap().image.unwrap().target.unwrap();
        assert_eq!(found, Target { media_type: "m".into(), digest: "d".into(), size: 5 });
        let info = GotInfo::decode([10, 5, 10, 1, b'd', 16, 7].as_slice()).unwrap().info.unwrap();
        assert_eq!(info.size, 7);
        assert_eq!(Piece::decode([8, 3, 18, 2, 1, 2].as_slice()).unwrap().data.as_ref(), [1, 2]);
    }
}

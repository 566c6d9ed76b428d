//! What a device can ask of the thing model: a topic and a method each, one line each.

use super::envelope;
use super::identity::Identity;
use super::topic;
use crate::error::Result;

/// One request that the cloud understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Publish here; the answer comes on [`Operation::reply_topic`].
    pub topic: String,
    /// The envelope's `method`.
    pub method: String,
}

/// Reports measure points: `params` is `{"measurepoints":{<id>:<value>,...},"time":<ms>}`.
pub fn measurepoint_post(identity: &Identity) -> Operation {
    thing(identity, "thing/measurepoint/post")
}

/// Reports measure points of the past: kept, but not taken for the latest. `params` as in [`measurepoint_post`].
pub fn measurepoint_resume(identity: &Identity) -> Operation {
    thing(identity, "thing/measurepoint/resume")
}

impl Operation {
    /// Subscribe to it before the first request.
    pub fn reply_topic(&self) -> String {
        topic::reply_topic(&self.topic)
    }

    /// The payload to publish. `id` has to differ from that of every other request under way.
    pub fn request(&self, id: &str, params_json: &[u8]) -> Result<Vec<u8>> {
        envelope::request(id, &self.method, params_json)
    }
}

/// EnOS names the method after the path of the topic.
fn thing(identity: &Identity, path: &str) -> Operation {
    Operation { topic: topic::thing(identity, path), method: path.replace('/', ".") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measure_points_as_enos_documents_them() {
        let post = measurepoint_post(&Identity::new("pk", "dk", None).unwrap());
        assert_eq!(post.topic, "/sys/pk/dk/thing/measurepoint/post");
        assert_eq!(post.reply_topic(), "/sys/pk/dk/thing/measurepoint/post_reply");
        assert_eq!(
            post.request("7", br#"{"measurepoints":{"t":1.50}}"#).unwrap(),
            br#"{"id":"7","version":"1.0","method":"thing.measurepoint.post","params":{"measurepoints":{"t":1.50}}}"#
        );
        let resume = measurepoint_resume(&Identity::new("pk", "dk", None).unwrap());
        assert_eq!(resume.topic, "/sys/pk/dk/thing/measurepoint/resume");
        assert_eq!(resume.method, "thing.measurepoint.resume");
    }
}

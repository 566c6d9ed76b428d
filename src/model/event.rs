//! The types of events: their numbers, their documentation for C, and the names that the library uses.

/// What an event tells. Later versions add types: ignore those that you do not know.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum enos_event_type {
    /// Online as the device: publish from here on. All subscriptions have been requested, before anything that you
    /// publish.
    ENOS_EVENT_CONNECTED = 1,
    /// The link is gone, or an attempt failed. retry_in_ms says when the next attempt follows (0: none will, until you
    /// call enos_client_connect()), detail what happened and what to do. status is
    ///
    ///   - ENOS_OK: you asked for it, with enos_client_disconnect();
    ///   - ENOS_ERR_NETWORK: nobody answered, the link broke, or the broker is not available (CONNACK 3);
    ///   - ENOS_ERR_TLS: a certificate or key cannot be used, or the handshake failed; detail says why;
    ///   - ENOS_ERR_CREDENTIALS: the broker refused what the device signed with (CONNACK 4 or 5);
    ///   - ENOS_ERR_ACTIVATION_REFUSED: it refused the product secret. The product secret is wrong, or the device is
    ///     already active and has to be deleted and registered anew in the EnOS console;
    ///   - ENOS_ERR_STORAGE: the storage cannot be read, so that nobody knows whether there is a device secret.
    ///     detail_code is what it returned;
    ///   - ENOS_ERR_PROTOCOL: the broker refused in another way (CONNACK 1, 2 and others), or sent a packet that MQTT
    ///     3.1.1 does not allow it to, or a message with QoS 2;
    ///   - ENOS_ERR_CONFLICT: three times in a row or more, the broker took the login and ended the connection soon
    ///     after. Another client is probably logged in as this device: the two would throw each other out for ever, so
    ///     this one waits, 1 to 2 minutes at first, 8 to 16 in the end, until a connection has stood for 17.
    ///
    /// For a CONNACK, detail_code is its return code.
    ENOS_EVENT_DISCONNECTED = 2,
    /// The device secret has arrived, is stored, and was read back. activation is set. CONNECTED follows.
    ENOS_EVENT_ACTIVATED = 3,
    /// The device secret has arrived and could not be stored. activation is set; status and detail say why, detail_code
    /// is what your storage returned, retry_in_ms when it is tried again. The library keeps trying as long as the
    /// process lives. You may also save it by hand and call enos_client_activation_saved().
    ENOS_EVENT_PERSIST_FAILED = 4,
    /// A message came in: topic, payload, qos, retained. One PUBLISH is one event, of this type or of a more special
    /// one. A message on an activation topic, of any device, never comes as this event, because it may contain a
    /// secret.
    ENOS_EVENT_MESSAGE = 5,
    /// The outcome of enos_client_publish(), of enos_command_reply() and its like, and of a durable request that does
    /// not wait for a reply: token, operation, user, status.
    ENOS_EVENT_DELIVERED = 6,
    /// The outcome of enos_client_subscribe(): token, status, topic (the filter), qos (the one that was granted). With
    /// token 0: a subscription was refused or not answered on a later link, or is granted again after that.
    ENOS_EVENT_SUBSCRIBED = 7,
    /// The outcome of enos_client_unsubscribe(): token, status, topic (the filter).
    ENOS_EVENT_UNSUBSCRIBED = 8,
    /// The outcome of a request (enos_client_request(), enos_client_post_*() and others), if a durable one has
    /// ENOS_REQUEST_UNTIL_REPLY: token, operation, user, status, detail_code (EnOS's code), payload (the whole reply),
    /// data and message (parts of it). ENOS_OK: EnOS answered 200. ENOS_ERR_REFUSED: it answered another code, or the
    /// broker refuses the topic of the replies (detail_code 128).
    ENOS_EVENT_REPLY = 9,
    /// Messages were dropped: because the inbound queue was full (enos_config_set_queue_limits()), because they were
    /// too large (enos_config_set_max_message()), or because they came on an activation topic and were not expected.
    /// detail_code says how many. Events of other types are never dropped.
    ///
    /// With the status ENOS_ERR_REFUSED, detail_code commands were not handed over. detail says why, and what the
    /// library has answered. See the chapter on commands.
    ENOS_EVENT_OVERFLOW = 10,
    /// A call was refused with ENOS_ERR_QUEUE_FULL before, and there is room again: for at least one call of that kind
    /// (publishes and requests; calls to subscribe), or for an eighth of the outbox. Told once after a refusal.
    ENOS_EVENT_ROOM = 11,
    /// The outbox has to wait. Nothing is lost meanwhile. status is
    ///
    ///   - ENOS_ERR_STORAGE: the storage does not let it be read, or neither removes a message nor takes a dead letter;
    ///     detail_code is what it returned, retry_in_ms when it is tried again. With retry_in_ms 0: both records that
    ///     say where the outbox is are unreadable; what was in it stays in the storage, and is not sent any more;
    ///   - ENOS_ERR_REFUSED, ENOS_ERR_TIMEOUT, ENOS_ERR_NETWORK: the broker does not grant the topic on which EnOS's
    ///     replies come, and the first message waits for one.
    ENOS_EVENT_OUTBOX_FAILED = 12,
    /// The cloud asks the device for something: command, topic, payload. Answer it with enos_command_reply() in the
    /// callback, or retain it with enos_command_retain() and answer it later. See the chapter on commands.
    ENOS_EVENT_COMMAND = 13,
    /// The state of a sub-device has changed: subdevice, user (that of enos_client_add_subdevices()), subdevice_state,
    /// and detail, which says why. status is
    ///
    ///   - ENOS_OK: it is as you wanted it;
    ///   - ENOS_ERR_REFUSED: EnOS answered detail_code. It names the reasons of a batch in one text, so that some of it
    ///     may be about other sub-devices;
    ///   - ENOS_ERR_TIMEOUT: EnOS has not answered;
    ///   - ENOS_ERR_NETWORK: the gateway's link is gone;
    ///   - ENOS_ERR_STORAGE: the storage cannot be read, so that nobody knows whether there is a device secret;
    ///   - ENOS_ERR_CREDENTIALS: there is no secret to log in with.
    ///
    /// retry_in_ms says when the next login follows; 0: none will, or as soon as it is its turn.
    ENOS_EVENT_SUBDEVICE_STATE = 14,
    /// What enos_client_disconnect() began has come to its end: exactly one for each call that returned ENOS_OK, also
    /// when there was nothing to do. It comes after DISCONNECTED and after the outcomes of all calls, except for three:
    /// a subscribe that no broker has answered yet, a durable message that is not completed, and an answer to a command
    /// that was given offline. Their outcomes come on a later link, that of the answer also at the command's deadline.
    /// status is
    ///
    ///   - ENOS_OK: the device is offline, and no device secret is unsaved: enos_client_destroy() may follow. While the
    ///     storage does not take a secret, this does not come;
    ///   - ENOS_ERR_STATE: enos_client_connect() was called before that, and has taken the disconnect back.
    ENOS_EVENT_STOPPED = 15,
    /// The broker took the product secret, and has sent no device secret so far (enos_config_set_activation_timeout()).
    /// The client stays connected and waits on; retry_in_ms says when it logs in once more. status is
    /// ENOS_ERR_ACTIVATION_TIMEOUT. When messages came that could not be used, detail says what was wrong with them.
    ENOS_EVENT_ACTIVATION_LATE = 16,
    /// EnOS offers a firmware: firmware, subdevice, user (that of enos_client_add_subdevices()). Take it, or refuse it
    /// with enos_ota_report(), now or later. It is told again after a restart as long as you do neither.
    /// enos_firmware_get_state() says whether this very image was taken or has failed before. status is
    ///
    ///   - ENOS_OK: EnOS has been told that the offer has arrived;
    ///   - ENOS_ERR_STORAGE: the offer could not be stored, which EnOS has been told; it is not told again after a
    ///     restart. You may take it nevertheless.
    ENOS_EVENT_OTA_OFFER = 17,
    /// The progress of a download, its one outcome, or the outcome of an installation: firmware, subdevice, status. For an
    /// installation token is 0, and status is
    ///
    ///   - ENOS_OK: the version that was installed runs;
    ///   - ENOS_ERR_NOT_INSTALLED: another version runs after the installation. EnOS is told step -4;
    ///   - ENOS_ERR_STORAGE: the record of the updates cannot be read, and is forgotten: nobody knows whether an
    ///     installation was under way. firmware is NULL.
    ENOS_EVENT_OTA = 18,
    /// A dead letter was removed, because the outbox was full of newer messages: token, status ENOS_ERR_QUEUE_FULL. Its
    /// own outcome came before.
    ENOS_EVENT_DEAD_LETTER_DROPPED = 19,
}

/// The name under which Rust code knows [`enos_event_type`].
pub use enos_event_type as EventKind;

super::named!(EventKind, "ENOS_EVENT_" {
    Connected = ENOS_EVENT_CONNECTED,
    Disconnected = ENOS_EVENT_DISCONNECTED,
    Activated = ENOS_EVENT_ACTIVATED,
    PersistFailed = ENOS_EVENT_PERSIST_FAILED,
    Message = ENOS_EVENT_MESSAGE,
    Delivered = ENOS_EVENT_DELIVERED,
    Subscribed = ENOS_EVENT_SUBSCRIBED,
    Unsubscribed = ENOS_EVENT_UNSUBSCRIBED,
    Reply = ENOS_EVENT_REPLY,
    Overflow = ENOS_EVENT_OVERFLOW,
    Room = ENOS_EVENT_ROOM,
    OutboxFailed = ENOS_EVENT_OUTBOX_FAILED,
    Command = ENOS_EVENT_COMMAND,
    SubdeviceState = ENOS_EVENT_SUBDEVICE_STATE,
    Stopped = ENOS_EVENT_STOPPED,
    ActivationLate = ENOS_EVENT_ACTIVATION_LATE,
    OtaOffer = ENOS_EVENT_OTA_OFFER,
    Ota = ENOS_EVENT_OTA,
    DeadLetterDropped = ENOS_EVENT_DEAD_LETTER_DROPPED,
});

"""Runs Envision's Python SDK, unchanged, as a device of the simulator; python_sdk.rs starts it.

Each request prints a line of JSON with the answer. After the line "ready", commands are answered until the end of the
standard input.
"""
import json
import os
import sys

from enos.core.MqttClient import MqttClient
from enos.core.internal.Profile import Profile
from enos.core.login.DynamicActivationLogin import DynamicActivationLogin
from enos.core.message.IResponseCallback import IResponseCallback
from enos.core.util.StringI18n import StringI18n
from enos.message.downstream.device.SubDeviceDeleteCommand import SubDeviceDeleteCommand
from enos.message.downstream.device.SubDeviceDeleteReply import SubDeviceDeleteReply
from enos.message.downstream.device.SubDeviceDisableCommand import SubDeviceDisableCommand
from enos.message.downstream.device.SubDeviceDisableReply import SubDeviceDisableReply
from enos.message.downstream.device.SubDeviceEnableCommand import SubDeviceEnableCommand
from enos.message.downstream.device.SubDeviceEnableReply import SubDeviceEnableReply
from enos.message.downstream.ota.OtaUpgradeCommand import OtaUpgradeCommand
from enos.message.downstream.ota.OtaUpgradeReply import OtaUpgradeReply
from enos.message.downstream.tsl.MeasurepointGetCommand import MeasurepointGetCommand
from enos.message.downstream.tsl.MeasurepointGetReply import MeasurepointGetReply
from enos.message.downstream.tsl.MeasurepointSetCommand import MeasurepointSetCommand
from enos.message.downstream.tsl.MeasurepointSetReply import MeasurepointSetReply
from enos.message.downstream.tsl.ModelDownRawCommand import ModelDownRawCommand
from enos.message.downstream.tsl.ModelDownRawReply import ModelDownRawReply
from enos.message.downstream.tsl.ServiceInvocationCommand import ServiceInvocationCommand
from enos.message.downstream.tsl.ServiceInvocationReply import ServiceInvocationReply
from enos.message.upstream.integration.IntAttributePostRequest import IntAttributePostRequest
from enos.message.upstream.integration.IntEventPostRequest import IntEventPostRequest
from enos.message.upstream.integration.IntMeaturepointPostRequest import IntMeaturepointPostRequest
from enos.message.upstream.integration.IntModelUpRawRequest import IntModelUpRawRequest
from enos.message.upstream.ota.OtaGetVersionRequest import OtaGetVersionRequest
from enos.message.upstream.ota.OtaProgressReportRequest import OtaProgressReportRequest
from enos.message.upstream.ota.OtaVersionReportRequest import OtaVersionReportRequest
from enos.message.upstream.register.DeviceRegisterRequest import DeviceRegisterRequest
from enos.message.upstream.resume.MeasurepointResumeBatchRequest import MeasurepointResumeBatchRequest
from enos.message.upstream.resume.MeasurepointResumeRequest import MeasurepointResumeRequest
from enos.message.upstream.status.SubDeviceLoginBatchRequest import SubDeviceLoginBatchRequest
from enos.message.upstream.status.SubDeviceLoginRequest import SubDeviceLoginRequest
from enos.message.upstream.status.SubDeviceLogoutRequest import SubDeviceLogoutRequest
from enos.message.upstream.tag.TagDeleteRequest import TagDeleteRequest
from enos.message.upstream.tag.TagQueryRequest import TagQueryRequest
from enos.message.upstream.tag.TagUpdateRequest import TagUpdateRequest
from enos.message.upstream.topo.SubDeviceInfo import SubDeviceInfo
from enos.message.upstream.topo.TopoAddRequest import TopoAddRequest
from enos.message.upstream.topo.TopoDeleteRequest import TopoDeleteRequest
from enos.message.upstream.topo.TopoGetRequest import TopoGetRequest
from enos.message.upstream.tsl.AttributeDeleteRequest import AttributeDeleteRequest
from enos.message.upstream.tsl.AttributeQueryRequest import AttributeQueryRequest
from enos.message.upstream.tsl.AttributeUpdateRequest import AttributeUpdateRequest
from enos.message.upstream.tsl.EventPostRequest import EventPostRequest
from enos.message.upstream.tsl.MeasurepointPostBatchRequest import MeasurepointPostBatchRequest
from enos.message.upstream.tsl.MeasurepointPostRequest import MeasurepointPostRequest
from enos.message.upstream.tsl.ModelUpRawRequest import ModelUpRawRequest
from enos.message.upstream.tsl.TslTemplateGetRequest import TslTemplateGetRequest

TIME = 1700000000000


def say(line):
    sys.stdout.write("said: " + json.dumps(line) + "\n")
    sys.stdout.flush()


def posts():
    point = MeasurepointPostRequest.builder().add_measurepoint("p", 1.5).set_timestamp(TIME)
    late = MeasurepointResumeRequest.builder().add_measure_point("p", 1).set_timestamp(TIME)
    quality = MeasurepointResumeRequest.builder().add_measure_point_with_quality("p", 1, 9)
    yield "measurepoint.post", point
    yield "measurepoint.post.struct", MeasurepointPostRequest.builder().add_measurepoint("s", {"x": 1, "y": ["z"]})
    yield "measurepoint.batch", MeasurepointPostBatchRequest.builder().add_request(point.build())
    yield "measurepoint.batch.flags", (MeasurepointPostBatchRequest.builder().add_request(point.build())
                                       .set_allow_offline_sub_device(False).set_skip_invalid_measurepoints(True))
    yield "measurepoint.resume", late
    yield "measurepoint.resume.quality", quality
    yield "measurepoint.resume.batch", MeasurepointResumeBatchRequest.builder().add_request(late.build())
    yield "event.post", EventPostRequest.builder().set_event_identifier("alarm").add_value("level", 3)
    yield "raw.up", ModelUpRawRequest.builder().set_payload(b"\x01\x00\xff")
    yield "model.get", TslTemplateGetRequest.builder()


def attributes_and_tags():
    yield "attribute.update", AttributeUpdateRequest.builder().add_attributes({"a": 2, "b": {"k": "v"}})
    yield "attribute.query", AttributeQueryRequest.builder().add_attribute("a")
    yield "attribute.query.all", AttributeQueryRequest.builder().query_all()
    yield "attribute.delete", AttributeDeleteRequest.builder().delete_attribute("a")
    yield "attribute.query.rest", AttributeQueryRequest.builder().query_all()
    yield "tag.update", TagUpdateRequest.builder().add_tags({"t": "v", "u": "w"})
    yield "tag.query", TagQueryRequest.builder().add_key("t")
    yield "tag.delete", TagDeleteRequest.builder().delete_tag_key("t")
    yield "tag.query.rest", TagQueryRequest.builder().query_all()


def upgrades():
    yield "ota.inform", OtaVersionReportRequest.builder().set_version("1.0")
    yield "ota.getversion", OtaGetVersionRequest.builder()
    yield "ota.progress", OtaProgressReportRequest.builder().set_step("20").set_desc("twenty")
    yield "ota.progress.failed", OtaProgressReportRequest.builder().set_step("-2").set_desc("no download")


def sub_devices():
    sub = SubDeviceInfo("subPK", "subDK", "subDS")
    yield "register", DeviceRegisterRequest.builder().add_register_information(
        "subPK", "newDK", StringI18n("name"), "description", "+08:00", {"a": 1})
    yield "topo.add", TopoAddRequest.builder().add_sub_device(sub)
    yield "topo.get", TopoGetRequest.builder()
    yield "topo.delete", TopoDeleteRequest.builder().delete_sub_device("subPK", "subDK")
    yield "login", SubDeviceLoginRequest.builder().set_sub_device_info("subPK", "subDK", "subDS")
    yield "login.batch", SubDeviceLoginBatchRequest.builder().add_sub_device_info("subPK", "subDK", "subDS")
    yield "logout", SubDeviceLogoutRequest.builder().set_sub_product_key("subPK").set_sub_device_key("subDK")
    yield "integration.measurepoint", IntMeaturepointPostRequest.builder().add_meaturepoint("d1", TIME, {"p": 1})
    yield "integration.event", IntEventPostRequest.builder().add_event("d1", TIME, "alarm", {"level": 3})
    yield "integration.attribute", IntAttributePostRequest.builder().add_attribute("d1", "a", 1)
    yield "integration.raw", IntModelUpRawRequest.builder().set_payload(b"\x01\x00\xff")


def ask(client, name, builder):
    response = client.publish(builder.build())
    if name == "raw.up":
        say({"request": name, "payload": response.get_payload().hex()})
    elif name == "integration.raw":
        refusal = json.loads(response.get_payload())
        say({"request": name, "code": refusal["code"], "data": refusal["data"]})
    else:
        say({"request": name, "code": response.get_code(), "data": response.get_data()})


def ask_asynchronously(client):
    callback = IResponseCallback()
    callback.on_response = lambda response: say({"request": "asynchronous", "code": response.get_code()})
    callback.on_failure = lambda error: say({"request": "asynchronous", "error": str(error)})
    client.publish(MeasurepointPostRequest.builder().add_measurepoint("p", 1).build(), callback)
    client.fast_publish(MeasurepointPostRequest.builder().add_measurepoint("p", 2).build())


def serve(command, arguments):
    name, params = arguments[2], command.get_params()
    if name == "fails":
        raise RuntimeError("it does not work")
    if name != "multiply":
        return ServiceInvocationReply.builder().set_code(2001).set_message("no such service").build()
    return ServiceInvocationReply.builder().set_code(200).add_output_data("r", params["a"] * params["b"]).build()


def set_points(command, _arguments):
    say({"command": "set", "params": command.get_params()})
    return MeasurepointSetReply.builder().set_code(200).build()


def get_points(command, _arguments):
    builder = MeasurepointGetReply.builder().set_code(200)
    return builder.set_measureponits({point: 7 for point in command.get_params()}).build()


def take_raw(command, _arguments):
    reply = ModelDownRawReply()
    reply.set_payload(bytes(reversed(command.get_payload())))
    return reply


def handlers(client):
    client.register_arrived_message_handler(ServiceInvocationCommand.get_class(), serve)
    client.register_arrived_message_handler(MeasurepointSetCommand.get_class(), set_points)
    client.register_arrived_message_handler(MeasurepointGetCommand.get_class(), get_points)
    client.register_arrived_message_handler(ModelDownRawCommand.get_class(), take_raw)
    client.register_arrived_message_handler(
        OtaUpgradeCommand.get_class(), lambda *_: OtaUpgradeReply.builder().set_code(200).build())
    for command, reply in [(SubDeviceEnableCommand, SubDeviceEnableReply),
                           (SubDeviceDisableCommand, SubDeviceDisableReply),
                           (SubDeviceDeleteCommand, SubDeviceDeleteReply)]:
        client.register_arrived_message_handler(
            command.get_class(), lambda *_, reply=reply: reply.builder().set_code(200).build())


def activate(url, product_key, device_key, product_secret):
    login = DynamicActivationLogin(url, product_key, product_secret, device_key)
    client = MqttClient(profile=Profile.create_instance(login))
    client.on_device_dynamic_active = lambda secret: say({"activated": secret})
    client.connect()
    sys.stdin.read()


def run(url, product_key, device_key, device_secret, with_handlers):
    client = MqttClient(url, product_key, device_key, device_secret)
    if with_handlers:
        handlers(client)
    client.connect()
    if with_handlers:
        for part in [posts, attributes_and_tags, upgrades, sub_devices]:
            for name, builder in part():
                ask(client, name, builder)
        ask_asynchronously(client)
    say("ready")
    for line in sys.stdin:
        if line.strip() == "reconnect":
            client.reconnect()
            say("ready")
        # After the upgrade was accepted: its progress, and the new version.
        for name, builder in upgrades():
            if line.strip() == name:
                ask(client, name, builder)


if __name__ == "__main__":
    what, url, product_key, device_key, secret = sys.argv[1:]
    if what == "activate":
        activate(url, product_key, device_key, secret)
    else:
        run(url, product_key, device_key, secret, what == "device")
    # The SDK's threads would go on.
    os._exit(0)

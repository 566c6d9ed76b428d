"""Runs Envision's Python SDK, unchanged, as a gateway of the simulator, or as the integration channel of a product.

Each request prints a line of JSON with the answer. A gateway answers commands after the line "ready", until there is a
line on its standard input; then it logs its sub-devices out.
"""
import os
import sys

from enos.core.MqttClient import MqttClient
from enos.core.constant.DeviceCredential import DeviceCredential
from enos.core.internal.Profile import Profile
from enos.core.login.MessageIntegrationLogin import MessageIntegrationLogin
from enos.core.util.StringI18n import StringI18n
from enos.message.upstream.integration.IntAttributePostRequest import IntAttributePostRequest
from enos.message.upstream.integration.IntEventPostRequest import IntEventPostRequest
from enos.message.upstream.integration.IntMeaturepointPostRequest import IntMeaturepointPostRequest
from enos.message.upstream.integration.IntModelUpRawRequest import IntModelUpRawRequest
from enos.message.upstream.register.DeviceRegisterRequest import DeviceRegisterRequest
from enos.message.upstream.status.SubDeviceLoginBatchRequest import SubDeviceLoginBatchRequest
from enos.message.upstream.status.SubDeviceLoginRequest import SubDeviceLoginRequest
from enos.message.upstream.status.SubDeviceLogoutRequest import SubDeviceLogoutRequest
from enos.message.upstream.topo.SubDeviceInfo import SubDeviceInfo
from enos.message.upstream.topo.TopoAddRequest import TopoAddRequest
from enos.message.upstream.topo.TopoDeleteRequest import TopoDeleteRequest
from enos.message.upstream.topo.TopoGetRequest import TopoGetRequest
from enos.message.upstream.tsl.AttributeQueryRequest import AttributeQueryRequest
from enos.message.upstream.tsl.AttributeUpdateRequest import AttributeUpdateRequest
from enos.message.upstream.tsl.MeasurepointPostBatchRequest import MeasurepointPostBatchRequest
from enos.message.upstream.tsl.MeasurepointPostRequest import MeasurepointPostRequest

from python_sdk import TIME, ask, handlers, say


def of(builder, device_key):
    return builder.set_product_key("subPK").set_device_key(device_key)


def post(device_key):
    return of(MeasurepointPostRequest.builder().add_measurepoint("p", 1).set_timestamp(TIME), device_key)


def register(client):
    request = DeviceRegisterRequest.builder().add_register_information(
        "subPK", "new", StringI18n("name"), "description", "+08:00", {"a": 1})
    response = client.publish(request.build())
    device = response.get_data()[0]
    secret = device.pop("deviceSecret")
    say({"request": "register", "code": response.get_code(), "data": [device]})
    return secret


def gateway(url, product_key, device_key, device_secret):
    client = MqttClient(url, product_key, device_key, device_secret)
    handlers(client)
    client.connect()
    new_secret = register(client)
    ask(client, "login.stranger", SubDeviceLoginRequest.builder().set_sub_device_info("subPK", "new", new_secret))
    new = SubDeviceInfo("subPK", "new", new_secret)
    known = SubDeviceInfo("subPK", "known", "knownDS")
    ask(client, "topo.add", TopoAddRequest.builder().add_sub_device(new).add_sub_device(known))
    ask(client, "topo.get", TopoGetRequest.builder())
    ask(client, "post.early", post("new"))
    ask(client, "login", SubDeviceLoginRequest.builder().set_sub_device_info("subPK", "new", new_secret))
    ask(client, "post", post("new"))
    ask(client, "attribute.update", of(AttributeUpdateRequest.builder().add_attributes({"a": 2}), "new"))
    ask(client, "attribute.query", of(AttributeQueryRequest.builder().query_all(), "new"))
    ask(client, "login.batch", (SubDeviceLoginBatchRequest.builder()
                                .add_sub_device_info("subPK", "known", "knownDS")
                                .add_sub_device_info("subPK", "disabled", "disabledDS")))
    batch = MeasurepointPostBatchRequest.builder()
    ask(client, "post.batch", batch.add_request(post("new").build()).add_request(post("known").build()))
    dynamic = DeviceCredential("subPK", "subPS", "dynamic", None)
    response = client.publish(SubDeviceLoginRequest.builder().set_sub_device_credential(dynamic).build())
    say({"request": "login.dynamic", "code": response.get_code(), "secret": response.get_data()["deviceSecret"]})
    ask(client, "post.dynamic", post("dynamic"))
    say("ready")
    sys.stdin.readline()
    ask(client, "topo.delete.online", TopoDeleteRequest.builder().delete_sub_device("subPK", "new"))
    ask(client, "logout", SubDeviceLogoutRequest.builder().set_sub_product_key("subPK").set_sub_device_key("new"))
    ask(client, "post.late", post("new"))
    ask(client, "topo.delete", TopoDeleteRequest.builder().delete_sub_device("subPK", "new"))
    say("done")


def channel(url, product_key, product_secret):
    client = MqttClient(profile=Profile.create_instance(MessageIntegrationLogin(url, product_key, product_secret)))
    client.connect()
    ask(client, "measurepoint", IntMeaturepointPostRequest.builder().add_meaturepoint("known", TIME, {"p": 1}))
    ask(client, "measurepoint.unknown", IntMeaturepointPostRequest.builder().add_meaturepoint("x", TIME, {"p": 1}))
    ask(client, "event", IntEventPostRequest.builder().add_event("known", TIME, "alarm", {"level": 3}))
    ask(client, "attribute", IntAttributePostRequest.builder().add_attribute("known", "a", 1))
    ask(client, "raw.up", IntModelUpRawRequest.builder().set_payload(b"\x01\x00\xff"))
    say("done")


if __name__ == "__main__":
    what, address, key, name, secret = sys.argv[1:]
    if what == "channel":
        channel(address, key, secret)
    else:
        gateway(address, key, name, secret)
    # The SDK's threads would go on.
    os._exit(0)

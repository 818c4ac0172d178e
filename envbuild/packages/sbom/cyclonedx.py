"""CycloneDX 1.5 as JSON, made with the project's own library."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid5

from cyclonedx.exception import CycloneDxException
from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as BomComponent
from cyclonedx.model.component import ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot5
from packageurl import PackageURL

from envbuild import __version__
from envbuild.packages.inventory.component import Component
from envbuild.packages.inventory.tree import Inventory
from envbuild.packages.sbom.texts import BAD_RECORD, bad_texts, homepage, is_expression, plain

NAMESPACE = UUID("5d1c6d60-6d4e-5a0f-9f0f-5f0f9a3c7a11")
_ALGORITHMS = {
    "sha1": HashAlgorithm.SHA_1,
    "sha256": HashAlgorithm.SHA_256,
    "sha384": HashAlgorithm.SHA_384,
    "sha512": HashAlgorithm.SHA_512,
}


def cyclonedx(name: str, image: str, epoch: int, inventory: Inventory) -> str:
    """Return the document for an image with this digest; the same image gives the same text. `epoch` is in seconds."""
    root = BomComponent(
        name=name,
        type=ComponentType.CONTAINER,
        version=f"sha256:{image}",
        bom_ref=f"image:{image}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=image)],
        properties=[Property(name=BAD_RECORD, value=text) for text in bad_texts(inventory.bad)],
    )
    tool = BomComponent(name="envbuild", type=ComponentType.APPLICATION, version=__version__, bom_ref="tool:envbuild")
    metadata = BomMetaData(component=root, timestamp=datetime.fromtimestamp(epoch, UTC))
    metadata.tools.components.add(tool)
    bom = Bom(metadata=metadata, serial_number=uuid5(NAMESPACE, image))
    for number, package in enumerate(inventory.packages):
        bom.components.add(_component(package, number))
    bom.register_dependency(root, list(bom.components))
    return str(JsonV1Dot5(bom).output_as_string(indent=2)) + "\n"


def _component(package: Component, number: int) -> BomComponent:
    component = BomComponent(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        # The same package may be there several times, in several places.
        bom_ref=f"{package.url}#{number}",
        purl=PackageURL.from_string(package.url),
        properties=[_place_of(package)],
    )
    algorithm, _, digest = package.hash.partition(":")
    if algorithm in _ALGORITHMS:
        component.hashes.add(HashType(alg=_ALGORITHMS[algorithm], content=digest))
    if address := homepage(package.homepage):
        component.external_references.add(ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(address)))
    _licences(component, package)
    return component


def _place_of(package: Component) -> Property:
    if package.stage:
        return Property(name="envbuild:stage", value=package.stage)
    return Property(name="envbuild:path", value=plain(package.path))


def _licences(component: BomComponent, package: Component) -> None:
    factory = LicenseFactory()
    if len(package.licences) == 1 and is_expression(package.licences[0]):
        try:
            component.licenses.add(factory.make_with_expression(package.licences[0]))
            return
        except (CycloneDxException, ValueError):
            pass
    for licence in package.licences:
        # Expressions and single licences don't stand beside each other.
        try:
            component.licenses.add(factory.make_with_id(licence))
        except (CycloneDxException, ValueError):
            component.licenses.add(DisjunctiveLicense(name=plain(licence)))

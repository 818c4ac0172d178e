"""SPDX 2.3 as JSON, made with the project's own library."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

from license_expression import Licensing, get_spdx_licensing
from spdx_tools.spdx.model.actor import Actor, ActorType
from spdx_tools.spdx.model.annotation import Annotation, AnnotationType
from spdx_tools.spdx.model.checksum import Checksum, ChecksumAlgorithm
from spdx_tools.spdx.model.document import CreationInfo, Document
from spdx_tools.spdx.model.extracted_licensing_info import ExtractedLicensingInfo
from spdx_tools.spdx.model.package import (
    ExternalPackageRef,
    ExternalPackageRefCategory,
    Package,
    PackagePurpose,
)
from spdx_tools.spdx.model.relationship import Relationship, RelationshipType
from spdx_tools.spdx.model.spdx_no_assertion import SpdxNoAssertion
from spdx_tools.spdx.writer.json.json_writer import write_document_to_stream

from envbuild import __version__
from envbuild.packages.inventory.component import Component
from envbuild.packages.inventory.tree import Inventory
from envbuild.packages.sbom.texts import BAD_RECORD, bad_texts, homepage, is_expression, plain

DOCUMENT = "SPDXRef-DOCUMENT"
ROOT = "SPDXRef-Image"
_ALGORITHMS = {
    "sha1": ChecksumAlgorithm.SHA1,
    "sha256": ChecksumAlgorithm.SHA256,
    "sha384": ChecksumAlgorithm.SHA384,
    "sha512": ChecksumAlgorithm.SHA512,
}


def spdx(name: str, image: str, epoch: int, inventory: Inventory) -> str:
    """Return the document for an image with this digest; the same image gives the same text. `epoch` is in seconds."""
    made = _Document()
    tool = Actor(ActorType.TOOL, f"envbuild-{__version__}")
    created = datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None)
    info = CreationInfo(
        spdx_version="SPDX-2.3",
        spdx_id=DOCUMENT,
        name=name,
        document_namespace=f"urn:envbuild:sbom:sha256:{image}",
        creators=[tool],
        created=created,
    )
    root = Package(
        spdx_id=ROOT,
        name=name,
        version=f"sha256:{image}",
        download_location=SpdxNoAssertion(),
        files_analyzed=False,
        checksums=[Checksum(ChecksumAlgorithm.SHA256, image)],
        primary_package_purpose=PackagePurpose.CONTAINER,
    )
    listed = [made.package(component, number) for number, component in enumerate(inventory.packages)]
    relationships = [Relationship(DOCUMENT, RelationshipType.DESCRIBES, ROOT)]
    relationships += [Relationship(ROOT, RelationshipType.CONTAINS, package.spdx_id) for package in listed]
    document = Document(
        info,
        packages=[root, *listed],
        relationships=relationships,
        annotations=[
            Annotation(ROOT, AnnotationType.OTHER, tool, created, f"{BAD_RECORD}: {text}")
            for text in bad_texts(inventory.bad)
        ],
        extracted_licensing_info=[made.extracted[key] for key in sorted(made.extracted)],
    )
    text = io.StringIO()
    write_document_to_stream(document, text, validate=False)
    return text.getvalue() + "\n"


class _Document:
    def __init__(self) -> None:
        self.extracted: dict[str, ExtractedLicensingInfo] = {}
        self._licensing: Licensing = get_spdx_licensing()

    def package(self, component: Component, number: int) -> Package:
        algorithm, _, digest = component.hash.partition(":")
        return Package(
            spdx_id=f"SPDXRef-Package-{number}-{re.sub('[^A-Za-z0-9.-]', '-', component.name)}",
            name=component.name,
            version=component.version,
            download_location=SpdxNoAssertion(),
            files_analyzed=False,
            checksums=[Checksum(_ALGORITHMS[algorithm], digest)] if algorithm in _ALGORITHMS else [],
            homepage=homepage(component.homepage) or None,
            source_info=f"taken by the stage {component.stage} from the lock of a project"
            if component.stage
            else f"found at {plain(component.path)}",
            license_concluded=SpdxNoAssertion(),
            license_declared=self._licences(component),
            copyright_text=SpdxNoAssertion(),
            external_references=[
                ExternalPackageRef(ExternalPackageRefCategory.PACKAGE_MANAGER, "purl", component.url),
            ],
        )

    def _licences(self, component: Component) -> object:
        if not component.licences:
            return SpdxNoAssertion()
        parts = [self._known(licence) or self._reference(licence, component) for licence in component.licences]
        joined = " AND ".join(f"({part})" if " " in part else part for part in parts)
        return self._licensing.parse(joined)

    def _known(self, licence: str) -> str:
        return str(self._licensing.parse(licence)) if is_expression(licence) else ""

    def _reference(self, licence: str, component: Component) -> str:
        """Return the reference to a licence that SPDX's list lacks: the document holds its text."""
        key = "LicenseRef-" + (re.sub("[^A-Za-z0-9.-]+", "-", licence).strip("-")[:64] or "unnamed")
        where = f"/usr/share/doc/{component.name}/copyright" if component.kind == "dpkg" else plain(component.path)
        text = f"What the package calls '{plain(licence)}'; its text is in {where} of the image."
        self.extracted.setdefault(key, ExtractedLicensingInfo(key, text, plain(licence)))
        return key

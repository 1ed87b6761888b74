"""Enhanced MR instances with functional groups: many elements for few pixels.

What belongs here: making multi-frame objects whose headers resemble what scanners of today write,
with a set of functional groups for each frame, private ones included. What does not: measuring, and
classic images (`generate.py`), whose pixels these take.

A header of this kind holds tens of thousands of elements in nested sequences, and costs whoever
decodes them one by one more than all pixels do.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from pydicom import FileDataset, dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, EnhancedMRImageStorage

from benchmarks.generate import mr_study

__all__ = ["enhanced_mr_study"]

#: Attributes of a classic MR image that the enhanced one says in functional groups or not at all.
_GONE = """
    AngioFlag EchoNumbers EchoTime EchoTrainLength FlipAngle ImageOrientationPatient
    ImagePositionPatient ImagedNucleus ImagesInAcquisition ImagingFrequency
    InPlanePhaseEncodingDirection LargestImagePixelValue Laterality MRAcquisitionType
    NumberOfAverages NumberOfPhaseEncodingSteps NumberOfTemporalPositions PercentPhaseFieldOfView
    PercentSampling PixelBandwidth PixelSpacing ReceiveCoilName RepetitionTime SAR ScanOptions
    ScanningSequence SequenceName SequenceVariant SliceLocation SliceThickness
    SmallestImagePixelValue SpacingBetweenSlices TemporalPositionIdentifier TransmitCoilName
    VariableFlipAngleFlag WindowCenter WindowCenterWidthExplanation WindowWidth dBdt
    """.split()  # noqa: SIM905 - a list of words reads better than a list of quotes


def enhanced_mr_study(
    folder: Path,
    instances: int = 8,
    frames: int = 200,
    rows: int = 64,
    cols: int = 64,
    *,
    accession: str = "BENCH-EMR-0001",
) -> list[Path]:
    """Write a series of enhanced MR images; return its files in order.

    The default is a piece of an echo-planar time series: 64 x 64 pixels, 200 slices an instance,
    each with 20 functional groups of its own.
    """
    with tempfile.TemporaryDirectory(prefix="locutus-enhanced-") as name:
        slices = [
            dcmread(path)
            for path in mr_study(Path(name), frames, rows, cols, accession=accession, series=1)
        ]
    dataset = _header(slices[0], frames)
    dataset.PixelData = b"".join(one.PixelData for one in slices)
    dataset["PixelData"].VR = "OW"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for volume in range(1, instances + 1):
        dataset.SOPInstanceUID = UID(f"{dataset.SeriesInstanceUID}.{volume}")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber = volume
        dataset.PerFrameFunctionalGroupsSequence = Sequence(
            [_frame(number, volume, one) for number, one in enumerate(slices, start=1)]
        )
        path = folder / f"EMR{volume:06d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        written.append(path)
    return written


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def _group(**attributes: object) -> Sequence:
    """A functional group: a sequence of one item."""
    return Sequence([_item(**attributes)])


def _code(value: str, scheme: str, meaning: str) -> Sequence:
    return _group(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _localizer(dataset: Dataset, number: int, **attributes: object) -> Dataset:
    """A reference to one of the study's localizers."""
    return _item(
        ReferencedSOPClassUID=EnhancedMRImageStorage,
        ReferencedSOPInstanceUID=f"{dataset.StudyInstanceUID}.700.{number}",
        **attributes,
    )


def _header(dataset: FileDataset, frames: int) -> FileDataset:
    """Turn a classic slice into what all frames share."""
    for keyword in _GONE:
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.SOPClassUID = EnhancedMRImageStorage
    dataset.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    organization = f"{dataset.StudyInstanceUID}.800"
    pointers = (0x00209056, 0x00209057, 0x00209128)  # stack, position in it, time
    for keyword, value in {
        "ImageType": ["ORIGINAL", "PRIMARY", "FMRI", "NONE"],
        "NumberOfFrames": frames,
        "PixelPresentation": "MONOCHROME",
        "VolumetricProperties": "VOLUME",
        "VolumeBasedCalculationTechnique": "NONE",
        "ComplexImageComponent": "MAGNITUDE",
        "AcquisitionContrast": "T2_STAR",
        "AcquisitionDuration": 300000.0,
        "ContentQualification": "PRODUCT",
        "AcquisitionContextSequence": Sequence(),
        "PulseSequenceName": "ep2d_bold",
        "MRAcquisitionType": "2D",
        "EchoPulseSequence": "GRADIENT",
        "MultiPlanarExcitation": "NO",
        "PhaseContrast": "NO",
        "TimeOfFlightContrast": "NO",
        "NumberOfKSpaceTrajectories": 1,
        "SteadyStatePulseSequence": "NONE",
        "EchoPlanarPulseSequence": "YES",
        "SaturationRecovery": "NO",
        "SpectrallySelectedSuppression": "FAT",
        "OversamplingPhase": "NONE",
        "GeometryOfKSpaceTraversal": "RECTILINEAR",
        "SegmentedKSpaceTraversal": "SINGLE",
        "RectilinearPhaseEncodeReordering": "LINEAR",
        "KSpaceFiltering": "NONE",
        "ResonantNucleus": "1H",
        "ApplicableSafetyStandardAgency": "IEC",
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "PresentationLUTShape": "IDENTITY",
        "PositionReferenceIndicator": "",
        "DimensionOrganizationSequence": _group(DimensionOrganizationUID=organization),
        "DimensionIndexSequence": Sequence(
            [
                _item(
                    DimensionOrganizationUID=organization,
                    DimensionIndexPointer=pointer,
                    FunctionalGroupPointer=0x00209111,
                )
                for pointer in pointers
            ]
        ),
        "ReferencedImageEvidenceSequence": _group(
            StudyInstanceUID=dataset.StudyInstanceUID,
            ReferencedSeriesSequence=_group(
                SeriesInstanceUID=f"{dataset.StudyInstanceUID}.700",
                ReferencedSOPSequence=Sequence([_localizer(dataset, n) for n in (1, 2, 3)]),
            ),
        ),
        "SharedFunctionalGroupsSequence": Sequence([Dataset()]),
    }.items():
        setattr(dataset, keyword, value)
    return dataset


def _frame(number: int, volume: int, one: Dataset) -> Dataset:
    """Return the functional groups of one frame (PS3.3 A.36.2.4), and a vendor's beside them.

    As in a time series, the geometry and the sequence are those of every volume; what says when
    the frame was taken is its own.
    """
    seconds = 2 * volume + number / 100
    time = (
        f"20240229{9 + int(seconds // 3600):02d}{int(seconds // 60 % 60):02d}{seconds % 60:09.6f}"
    )
    rows, cols = one.Rows, one.Columns
    z = -200 + 3.0 * number
    frame = _item(
        FrameContentSequence=_group(
            FrameAcquisitionNumber=number,
            FrameReferenceDateTime=time,
            FrameAcquisitionDateTime=time,
            FrameAcquisitionDuration=52.5,
            FrameComments="generated",
            StackID="1",
            InStackPositionNumber=number,
            TemporalPositionIndex=volume,
            DimensionIndexValues=[1, number, volume],
        ),
        PixelMeasuresSequence=_group(
            PixelSpacing=["3.0", "3.0"], SliceThickness="3.0", SpacingBetweenSlices="3.0"
        ),
        PlanePositionSequence=_group(
            ImagePositionPatient=[f"{-1.5 * cols:.4f}", f"{-1.5 * rows:.4f}", f"{z:.4f}"]
        ),
        PlaneOrientationSequence=_group(
            ImageOrientationPatient=["1", "0", "0", "0", "1", "0"],
        ),
        FrameVOILUTSequence=_group(WindowCenter="400", WindowWidth="1500"),
        PixelValueTransformationSequence=_group(
            RescaleIntercept="0", RescaleSlope="1", RescaleType="US"
        ),
        FrameAnatomySequence=_group(
            FrameLaterality="U",
            AnatomicRegionSequence=_code("12738006", "SCT", "Brain"),
        ),
        MRImageFrameTypeSequence=_group(
            FrameType=["ORIGINAL", "PRIMARY", "FMRI", "NONE"],
            PixelPresentation="MONOCHROME",
            VolumetricProperties="VOLUME",
            VolumeBasedCalculationTechnique="NONE",
            ComplexImageComponent="MAGNITUDE",
            AcquisitionContrast="T2_STAR",
        ),
        MRTimingAndRelatedParametersSequence=_group(
            RepetitionTime="2000",
            FlipAngle="80",
            EchoTrainLength=64,
            RFEchoTrainLength=0,
            GradientEchoTrainLength=64,
            SpecificAbsorptionRateSequence=_group(
                SpecificAbsorptionRateDefinition="IEC_HEAD", SpecificAbsorptionRateValue=0.12
            ),
            GradientOutputType="DB_DT",
            GradientOutput=42.0,
            OperatingModeSequence=_group(OperatingModeType="GRADIENT", OperatingMode="IEC_NORMAL"),
        ),
        MREchoSequence=_group(EffectiveEchoTime=30.0),
        MRFOVGeometrySequence=_group(
            InPlanePhaseEncodingDirection="COLUMN",
            MRAcquisitionFrequencyEncodingSteps=cols,
            MRAcquisitionPhaseEncodingStepsInPlane=rows,
            MRAcquisitionPhaseEncodingStepsOutOfPlane=1,
            PercentSampling="100",
            PercentPhaseFieldOfView="100",
        ),
        MRModifierSequence=_group(
            InversionRecovery="NO",
            FlowCompensation="NONE",
            Spoiling="NONE",
            T2Preparation="NO",
            SpectrallySelectedExcitation="NONE",
            SpatialPresaturation="NONE",
            PartialFourier="NO",
            ParallelAcquisition="NO",
        ),
        MRImagingModifierSequence=_group(
            MagnetizationTransfer="NONE",
            BloodSignalNulling="NO",
            Tagging="NONE",
            TransmitterFrequency=123.25,
            PixelBandwidth="2170",
        ),
        MRReceiveCoilSequence=_group(
            ReceiveCoilName="HeadNeck_20",
            ReceiveCoilManufacturerName="Acme",
            ReceiveCoilType="MULTICOIL",
            QuadratureReceiveCoil="NO",
            MultiCoilDefinitionSequence=Sequence(
                [
                    _item(MultiCoilElementName=f"HC{coil}", MultiCoilElementUsed="YES")
                    for coil in range(1, 9)
                ]
            ),
        ),
        MRTransmitCoilSequence=_group(
            TransmitCoilName="Body",
            TransmitCoilManufacturerName="Acme",
            TransmitCoilType="BODY",
        ),
        MRAveragesSequence=_group(NumberOfAverages="1"),
        ReferencedImageSequence=Sequence(
            [
                _localizer(
                    one,
                    localizer,
                    ReferencedFrameNumber=1,
                    PurposeOfReferenceCodeSequence=_code("121311", "DCM", "Localizer"),
                )
                for localizer in (1, 2, 3)
            ]
        ),
    )
    private = frame.private_block(0x0021, "BENCH MR SDS 01", create=True)
    inner = Dataset()
    block = inner.private_block(0x0021, "BENCH MR SDS 01", create=True)
    for offset in range(0x01, 0x19):
        block.add_new(offset, "DS", f"{offset * 1.25 + seconds:.4f}")
    block.add_new(0x20, "LO", f"slice {number}")
    block.add_new(0x21, "DT", time)
    block.add_new(0x22, "FD", [0.0, 0.0, 1.0])
    private.add_new(0xFE, "SQ", Sequence([inner]))
    return frame

"""Descriptions as they stand in real headers, none of which identifies anybody.

What belongs here: series and study descriptions and names of protocols, in the manner of many
vendors and languages. What does not: the tests (`test_descriptors.py`).
"""

from __future__ import annotations

__all__ = ["DESCRIPTIONS"]

DESCRIPTIONS = """
3D T1 MPRAGE SAG
t1_mprage_sag_p2_iso
t1_mprage_sag_p2_iso_1.0mm
t2_spc_da-fl_sag_p2_iso_1.0
t2_tse_tra_msma_5 STK
t2_tirm_tra_dark-fluid
ep2d_diff_b50_400_800_tra_p2_ADC
ep2d_diff_3scan_trace_p2_TRACEW
ep2d_bold_moco_p2_s2
gre_field_mapping
t1_fl2d_opp-in_tra_bh
t1_vibe_dixon_tra_bh_p2_caipi_W
AAHead_Scout_64ch-head-coil
Ax DWI TENSOR R1p5
Ax T2 FRFSE FS
AX T2* GRE
Ax 3D SWAN
Sag T1 SPGR
Ax LAVA-Flex +C
WATER: Ax LAVA-Flex Dynamic
3-PLANE LOC
Axial EPI-FMRI (Interleaved I to S)
3D Ax T1 MP-RAGE_R22
epiRT IntAsc GD33
T1W_SE_SENSE
T2W_DRIVE_CLEAR
STIR_longTE SENSE
DWI_b1000
b=50, b=800
DWI b 0 50 400 800
sT1W_3D_TFE SENSE
eTHRIVE_BH_dyn
mDIXON-Quant_BH
SmartBrain
TOF_3D_multi-slab
Oberbauch *FB/4mm
TR/TE 2000/30
FLAIR TR 9000 TI 2500 TE 120
MRI Brain w/o & w/ Gadolinium
MR Prostate, 3T, multiparametric
MRT Oberbauch
MRT Kniegelenk rechts nativ
Schädel nativ + KM
HWS T2 TSE sag
LWS seitlich
CT Thorax/Abdomen/Becken mit KM i.v.
Becken-Bein-Angio
Thorax 5.0 B31f
Thorax 1.0 Br40d 3
Lung 1.0 I70f 3
Abd/Pel 5.0 I40f
DE_CarotidAngio 1.0 D30f 80kV
Topogram 0.6 T20f
HELICAL CHEST
CT, HEAD/BRAIN WO CONTRAST
CT Upper Abdomen with contrast
CTA CHEST PE PROTOCOL
2.5mm stnd Disc SS40
0.625mm BONE
FC51 LUNG 2.0
COR MIP 10x2
L3-S1^L1-L4
C-Spine 3 Views
XR C Spine Comp Min 4 Views
CHEST PA & LAT
ANKLE RT. AP/OBL/LAT
WRIST^RIGHT
R MLO Tomosynthesis Reconstruction
L CC C-View
LCA RAO 30 / CAU 20
CORO 15 fps
Left Knee 2 views (standing)
US Abdomen complete
Carotid Doppler bilateral
Whole Body Bone
F18-FDG PET/CT skull base to mid-thigh
PET WB-uncorrected
68Ga PSMA PET
Tc99m MDP 3 phase
CTAC 3.75 Thick
MIP_Images(SW)
Apparent Diffusion Coefficient
Perfusion_Weighted
relCBF
Dose Report
IRM cérébrale sans et avec gadolinium
TDM thoraco-abdomino-pelvienne
Genou gauche, profil debout
Échographie de l'abdomen
RM ginocchio destro
TC torace senza mdc
RM DE CRANIO
TC cráneo sin contraste
Radiografía de tórax PA
Rodilla derecha AP y lateral
MRI knie links
CT hersenen zonder contrast
Echo bovenbuik
RM do joelho direito
TC de tórax com contraste
Tomografia de crânio
2x2x2 mm, 256x256, 50%
TI 150 ms / 1000 Hz
Th12/L1 5°
Multiphase Art/Ven/Late
#3 localizer
12_t2_sag
AxT2Flair
DWI3scan
""".strip().splitlines()

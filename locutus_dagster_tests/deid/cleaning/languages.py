"""Requests, descriptions and sentences of reports in many languages; none identifies anybody.

What belongs here: text as people write it, by language. What does not: names of sequences and
protocols (`descriptions.py`), the tests (`test_languages.py`).
"""

from __future__ import annotations

__all__ = ["LANGUAGES"]

LANGUAGES = {
    "English": """
Headache and dizziness, rule out intracranial hemorrhage
No evidence of acute infarct or mass effect.
Status post fall, left hip pain and swelling
Follow-up of known pulmonary nodule, compare with prior CT
The lungs are clear. No pleural effusion or pneumothorax.
Pacemaker in situ, MR conditional
Shortness of breath, elevated D-dimer, r/o PE
Unremarkable appearance of the liver, spleen and pancreas
Mild degenerative changes of the lumbar spine
Patient moved during the scan, sequence repeated
History of breast cancer s/p mastectomy, on chemotherapy
Contrast: 80 ml IV, tolerated well, no immediate complications
Right lower quadrant pain, fever; evaluate for appendicitis
Small hiatal hernia; otherwise normal
""",
    "German": """
Kopfschmerzen seit 3 Wochen, Ausschluss Raumforderung
Lunge beidseits belüftet, kein Erguss, kein Pneumothorax
Unauffällige Darstellung der Leber und der Gallenblase
Herzschrittmacher, Gadolinium intravenös gegeben
Z.n. Sturz, Fraktur distaler Radius rechts?
Verlaufskontrolle bei bekanntem Meningeom
V.a. Bandscheibenvorfall L5/S1 links
Keine Läsion, kein Hinweis auf frische Blutung
MRT Schädel nativ und mit KM
Kniegelenkserguss, Innenmeniskusläsion rechts
Tumornachsorge bei Mammakarzinom
Schaedel unauffaellig, regelrechte Weite der Liquorraeume
CT Thorax zur Verlaufskontrolle, Rundherd im rechten Oberlappen
Patientin unruhig, Bewegungsartefakte
""",
    "French": """
Céphalées depuis trois semaines, éliminer un processus expansif
Pas d'épanchement pleural ni de pneumothorax
Douleur du genou droit après traumatisme
Contrôle d'un nodule pulmonaire connu
IRM cérébrale sans et avec injection de gadolinium
Absence de lésion focale hépatique
Suspicion d'embolie pulmonaire
Antécédent de cancer du sein, bilan d'extension
Hernie discale L5-S1 gauche avec conflit radiculaire
Scanner thoraco-abdomino-pelvien avec contraste
Fracture non déplacée de l'extrémité inférieure du radius
Produit de contraste iodé par voie intraveineuse
Examen normal
""",
    "Spanish": """
Cefalea de 3 semanas de evolución, descartar lesión ocupante de espacio
Sin evidencia de derrame pleural ni neumotórax
Dolor en rodilla derecha tras traumatismo
Control de nódulo pulmonar conocido
RM cerebral con contraste intravenoso
Contraste venoso, sin complicaciones
Hígado de tamaño y densidad normales
Hernia discal L4-L5 con compromiso radicular
Sospecha de tromboembolismo pulmonar
Antecedente de cáncer de mama, en tratamiento con quimioterapia
Fractura no desplazada de radio distal
Marcapasos. No se observan lesiones focales.
TC de tórax sin contraste
""",
    "Italian": """
Cefalea persistente, escludere lesione espansiva
Non versamento pleurico né pneumotorace
Dolore al ginocchio destro dopo trauma
Controllo di nodulo polmonare noto
RM encefalo senza e con mezzo di contrasto
Fegato di dimensioni normali, non lesioni focali
Sospetta embolia polmonare
Ernia discale L5-S1 sinistra
Frattura composta del radio distale
Paziente portatore di pacemaker
TC torace addome con contrasto endovenoso
Esiti di intervento chirurgico
""",
    "Portuguese": """
Cefaleia por 3 semanas, excluir lesão expansiva
Sem evidência de derrame pleural ou pneumotórax
Dor no joelho direito após trauma
Controle de nódulo pulmonar conhecido
RM do crânio com contraste venoso
Fígado de dimensões normais, sem lesões focais
Suspeita de embolia pulmonar
Hérnia discal L5-S1 à esquerda
Fratura do rádio distal sem desvio
Tomografia de tórax sem contraste
Paciente em tratamento com quimioterapia
Exame normal
""",
    "Dutch": """
Hoofdpijn sinds 3 weken, uitsluiten ruimte innemend proces
Geen pleuravocht, geen pneumothorax
Pijn rechter knie na trauma
Controle bekende longnodus
MRI hersenen met en zonder contrast
Normale lever, geen focale laesies
Verdenking longembolie
Discushernia L5-S1 links
Fractuur distale radius rechts
Pacemaker aanwezig
CT thorax en abdomen met intraveneus contrast
Status na operatie
""",
    "Swedish, Danish and Norwegian": """
Huvudvärk, uteslut blödning
MR hjärna med kontrast
DT thorax och buk utan kontrast
Smärta i höger knä efter trauma
Ingen pleuravätska, normalt fynd
Kontroll av känd lungförändring
Hodepine, utelukke blødning
CT caput uten kontrast
Smerter i venstre skulder
Ingen tegn til brudd
MR lænderyg, prolaps L5/S1
Røntgen thorax, ingen infiltrater
""",
    "Polish": """
MR głowy bez kontrastu i z kontrastem
TK klatki piersiowej z kontrastem
RTG kolana prawego, projekcja boczna
Bóle głowy, wykluczyć krwawienie
Bez zmian ogniskowych w wątrobie
Po operacji, kontrola
Podejrzenie złamania kości promieniowej
Płuca bez zmian naciekowych
USG jamy brzusznej
Rezonans magnetyczny kręgosłupa lędźwiowego
Badanie prawidłowe
Zmiany zwyrodnieniowe kręgosłupa szyjnego
""",
    "Czech": """
MR mozku s kontrastní látkou
CT hrudníku a břicha
Bolesti hlavy, vyloučit krvácení
RTG pravého kolena
Bez ložiskových změn jater
Stav po operaci, kontrola
Plíce bez infiltrátu
Podezření na plicní embolii
UZ ledvin a močového měchýře
Výhřez ploténky L5/S1 vlevo
""",
    "Turkish": """
Beyin MR kontrastlı
Toraks BT kontrastsız
Sağ diz ağrısı, travma sonrası
Baş ağrısı, kanama ekarte
Karaciğerde kitle saptanmadı
Akciğer grafisi normal
Lomber disk hernisi L5-S1
Sol omuz MR görüntüleme
Batın ultrasonografi
Takip amaçlı kontrol
""",
    "Russian": """
МРТ головного мозга без контрастного усиления
КТ органов грудной клетки
Головная боль, исключить объёмное образование
Печень не увеличена, структура однородная
Лёгкие без очаговых и инфильтративных изменений
Рентгенография коленного сустава в 2 проекциях
Контрастное вещество введено внутривенно
Данных за патологию не получено
Перелом дистального отдела лучевой кости справа
Грыжа межпозвонкового диска L5-S1
Состояние после операции, контроль
Патологии органов брюшной полости не выявлено
Аневризма брюшного отдела аорты
Подозрение на тромбоэмболию лёгочной артерии
Т2-ВИ, срезы 5 мм
""",
    "Ukrainian": """
МРТ головного мозку без контрасту
КТ органів грудної клітки
Рентгенографія колінного суглоба
Біль у спині, грижа диска L5-S1
Вогнищевих змін печінки не виявлено
Легені без патології
УЗД органів черевної порожнини
Контраст внутрішньовенно
Перелом променевої кістки
Стан після операції
""",
    "Greek": """
Μαγνητική τομογραφία εγκεφάλου με σκιαγραφικό
Αξονική θώρακος χωρίς σκιαγραφικό
Κεφαλαλγία, αποκλεισμός αιμορραγίας
Ακτινογραφία γόνατος δεξιά
Ήπαρ φυσιολογικό
Πόνος αριστερού ώμου
Υπέρηχος άνω κοιλίας
Δεν παρατηρούνται εστιακές αλλοιώσεις
Έλεγχος μετά από επέμβαση
Κάταγμα κερκίδας
""",
    "Japanese": """
頭部MRI 単純
胸部CT（造影）
肝臓に異常なし
肺野に明らかな異常影を認めません。
頭痛精査、出血の有無
右膝関節 2方向
腹部超音波検査
腰椎椎間板ヘルニアの疑い
脳梗塞疑い、拡散強調画像追加
術後経過観察
左肺下葉に結節影あり
ＭＲＩ　頭部　造影
造影剤アレルギーなし
大動脈瘤、前回と著変なし
乳癌術後、骨転移の有無を評価
""",
    "Chinese, simplified": """
头颅CT平扫
颅脑MRI平扫+增强
双肺纹理清晰，未见明显异常
肝脏形态、大小正常
右膝关节正侧位
腰椎间盘突出，L4/5
考虑脑梗死，建议MRI检查
胸部CT增强扫描
左肺上叶磨玻璃结节，较前无变化
未见胸腔积液
腹部超声：脂肪肝
肺癌术后复查
头痛3天，排除脑出血
静脉注射对比剂
""",
    "Chinese, traditional": """
頭部電腦斷層
腦部MRI 未注射顯影劑
胸部X光 正常
肝臟多發性囊腫
右膝關節疼痛
腰椎椎間盤突出
未見明顯異常
雙側肺炎
腹部超音波檢查
術後追蹤
""",
    "Korean": """
뇌 MRI 조영증강
흉부 CT 조영제 사용
복부 초음파 검사
두통, 뇌출혈 배제
우측 무릎 통증
간에 이상소견 없음
폐에 결절이 관찰됨
요추 추간판탈출증 의심
수술후 추적검사
좌측 어깨 MRI
폐렴 의증
뇌경색 과거력
""",
    "Arabic": """
تصوير الدماغ بالرنين المغناطيسي
الصدر بدون تباين
أشعة سينية للصدر
ألم في الركبة اليمنى
لا يوجد نزيف
الكبد طبيعي
كسر في عظم الفخذ
التهاب الزائدة الدودية
صداع ودوخة
تصوير مقطعي للبطن والحوض
""",
    "Hebrew": """
MRI מוח עם חומר ניגוד
CT חזה ללא חומר ניגוד
כאב ראש, לשלול דימום
צילום ברך ימין
כבד תקין
שבר בירך שמאל
אולטרסאונד בטן
חשד לתסחיף ריאתי
ללא ממצאים חריגים
מעקב לאחר ניתוח
""",
    "Thai": """
CT สมอง
เอกซเรย์ปอด
MRI กระดูกสันหลัง
ปวดศีรษะ
ไม่พบความผิดปกติ
อัลตราซาวด์ช่องท้อง
ปวดเข่าขวา
สงสัยปอดอักเสบ
""",
}

"""Synthetic Spanish and English clinical notes with exact gold annotations, for demonstrations, tests and cards.

A note is written by a small grammar: `{rule}` is one of the rule's alternatives, `{LABEL:rule}` a mention with that
label (`{LABEL}` where rule and label share a name), `{rule=}` reads the same all through a note, `{^rule}` begins with
a capital, `[o/a]` follows the patient's sex, `<es|en>` the language, `###` is a three-digit number, `↵` a line break.
`rule = a | b` is a closed class, one or more alternatives a line; a line that begins with `↵` continues the one above.
`rule ~ a b` is an open class: its words belong by turns to training and to validation, so that training never sees
validation's names, drugs, diseases, streets, hospitals, dates (by day) and numbers (by last digit).
"""

import random
import re
from functools import lru_cache

from .documents import Document, Entity


ENTITY_TYPES = (
    *("PATIENT", "DOCTOR", "HOSPITAL", "LOCATION", "DATE", "BIRTHDATE", "AGE", "ID", "PHONE"),
    *("PROBLEM", "FAMILY_HISTORY", "TEST", "DRUG", "DOSE"),
)

_LAYOUT = """
last ~ 0 1 2 3 4 5 6 7 8 9
early ~ 1 2 3 4 5 6 7 8 9
middle ~ 11 12 13 14 15 16 17 18
late ~ 19 20 21 22 23 24 25 26 27 28
day = {early} | {middle} | {late}
day0 = 0{early} | {middle} | {late}
surname = {family_name} | {name_stem}<ero|ton> | {name_stem}<era|wood> | {name_stem}<ano|ley> | {name_stem}<ado|worth>
own_given = [{given_m}/{given_f}]
own_surname = {surname}
own_mother = {surname}
own_full = {own_given=} {own_surname=}< {own_mother=}|>
own_listed = {own_surname=}< {own_mother=}|>, {own_given=}
man = {given_m} {surname}
woman = {given_f} {surname}
anyone = {man} | {woman} | {man}< {surname}|> | {woman}< {surname}|>
listed = {surname} | {surname}, {given_m} | {surname}, {given_f}
stem ~ vela toro mesi zaro lumi beca nori quela rufo dalti peri saxo filo gori tamu neba brevi caldo juno jubi yoda
class = lol | pril | sart<á|a>n | statin<a|> | prazol<|e> | m<ic|yc>in<a|> | xab<á|a>n | floxacin<o|> | gliptin<a|>
DRUG = {stem}{class}
root ~ gastr enter <nefr|nephr> <artr|arthr> neur hepat <cist|cyst> ot <miel|myel> <condr|chondr> <espondil|spondyl>
  <rin|rhin> tendin <faring|pharyng> col dermat retin <querat|kerat> <blefar|blephar> pancreat <esofag|esophag> pleur
disease = {root}itis | {root}<opatía|opathy> | {root}algia
disease_of_a_kind = <{disease} {kind}|{kind} {disease}>
chronic = <HTA|HTN> | <DM2|T2DM> | <EPOC|COPD> | <FA|AFib> | <ferropenia|iron deficiency> | <migraña|migraine>
PROBLEM = {condition} | {condition} | {symptom}
FAMILY_HISTORY = {condition}
condition = {disease} | {disease_of_a_kind} | {disease_of_a_kind} | {chronic}
blood = Hb | <hemoglobina|hemoglobin>
serum = <creatinina|creatinine> | <bilirrubina|bilirubin> | Cr | <magnesio|magnesium>
analyte = {TEST:blood} 1#<,|.># g/d<l|L> | {TEST:serum} 1<,|.>## mg/d<l|L> | {TEST:serum} 0<,|.>## mg/d<l|L>
admission = <0{early}/{mm=}/{year=}|{mm=}/0{early}/{yy=}> | <{early} de {month=} de|{month=} {early},> {year=}
discharge = <{late}/{mm=}/{year=}|{mm=}/{late}/{yy=}> | <{late} de {month=} de|{month=} {late},> {year=}
birth = <{day0}/{birth_mm=}|{birth_mm=}/{day0}>/{born=} | <{day} de {birth_month=} de|{birth_month=} {day},> {born=}
past = <{day0}/0#/201#|0#/{day0}/1#> | <{day} de {months} de|{months} {day},> 201#
meanwhile = <{middle} de {month=}|{month=} {middle}>
town = {town_stem}<ejo|ford> | {town_stem}<ales|bury> | {town_stem}<illo|wick> | {town_stem}<eda|mere>
postal = 5#### {town} | {town} 5####
site = {surname} | {surname} | <San|St.> {saint}<|'s> | {town}
kin_age = 4#< años|> | 5#< años|> | 6#< años|> | 7#< años|>
number = 55# ### ##{last} | 55######{last} | 55#-###-###{last} | (55#) ###-##{last}
ID = {number} | {number} | ######/{last} | HC-#####{last}
DOSE = #0 mg | 2<,|.>5 mg | ½ <comp.|tab> | 1 <comp.|tab> | #00 mg | 1 g | #0 <UI|units> | 0<,|.>#5 mg | # m<l|L>
milligrams = #0 | ## | 1#0 | #5
vitals = <TA|BP> 13#/7#, <FC|HR> 8#, T 36<,|.># °C | T 38<,|.># °C, <SatO₂|SpO₂> 9# % <con|on> FiO₂ 0<,|.>2#
address = {LOCATION:street}, {LOCATION:town} | {LOCATION:street}↵           {LOCATION:postal}
few = 2 | 3 | 4 | 5 | 6 | 8
service = Cardiolog<ía|y> | <Medicina Interna|Internal Medicine> | Ne<f|ph>rolog<ía|y> | Neurolog<ía|y> | Urolog<ía|y>
note = {report} | {report} | {letter} | {urgent} | {ward} | {ward}
report = <INFORME DE ALTA|DISCHARGE SUMMARY> - {service=}↵{HOSPITAL}↵↵{who}↵{stay}↵↵{history}↵↵{illness}↵↵{findings}
  ↵↵{course}↵↵{end}
letter = {HOSPITAL}↵<Servicio de|Department of> {service=}↵{address}↵↵{dear}↵↵{introduction} {complaint} {more}
  ↵↵{history}↵↵{findings}↵↵{therapy}↵↵<Un saludo|Sincerely>,↵↵{signature}
dear = <Estimado|Dear> Dr. {DOCTOR:surname}, | <A la atención de|Attn.>:↵  {DOCTOR:anyone}
urgent = <URGENCIAS|EMERGENCY DEPARTMENT> ({HOSPITAL})↵↵{who}↵↵{illness}↵↵{findings}↵↵{end}
  <NOTA DE TRIAJE|TRIAGE NOTE>, {DATE:admission=}↵{brief}↵↵{illness}↵{social}↵↵{history}↵↵{findings}↵↵{end}
ward = <EVOLUCIÓN|PROGRESS NOTE>, {DATE:discharge=}↵{brief}↵↵{illness}↵↵{findings}↵↵{course}↵↵{therapy}↵↵{signature}
  <INTERCONSULTA A|CONSULT TO> {service=}↵{brief}↵<Solicita|Requested by>:↵  {DOCTOR:listed}
  ↵<Procede de|Coming from>:↵  {HOSPITAL:site}↵↵{illness}↵↵{history}↵↵{course}↵↵{end}
brief = {PATIENT:own_listed} · <NHC|MRN> {ID} · <F. nac.|DOB> {BIRTHDATE:birth}
  <Paciente|Patient>: {PATIENT:own_full}, {AGE:age=} <a.|y/o>, <cama|bed> ##
  {PATIENT:own_full}, <nacid[o/a] el|born> {BIRTHDATE:birth}. Tel. {PHONE:number}
who = <Nombre|Name>: {PATIENT:own_full}↵<NHC|MRN>: {ID}
  ↵<Fecha de nacimiento|Date of birth>: {BIRTHDATE:birth}   <Edad|Age>: {AGE:age=}↵<Domicilio|Address>: {address}
  <FILIACIÓN|PATIENT DATA>↵  - <Nombre|Name>: {PATIENT:own_listed}↵  - <Nacimiento|Born>:↵      {BIRTHDATE:birth}
  ↵  - <Identificación|Record>:↵      {ID:number}↵  - <Contacto|Contact>:↵      {PHONE:number}
  ↵  - <Edad|Age>:↵      {AGE:age=}
  <DATOS|DATA>↵  - <Contacto|Contact>:↵      {PHONE:number}↵  - <Domicilio|Address>:↵      {LOCATION:street}
  ↵      {LOCATION:postal}↵  - <Historia|Record>:↵      {ID:number}↵  - <Paciente|Patient>:↵      {PATIENT:own_full}
stay = <Ingreso|Admitted>: {DATE:admission=}   <Alta|Discharged>: {DATE:discharge=}
  ↵<Médico responsable|Attending physician>:↵  {DOCTOR:listed}
  <Fechas|Dates>:↵  {DATE:admission=}↵  {DATE:discharge=}↵<Centro de origen|Referring site>:↵  {HOSPITAL:site}
  ↵<Médico de origen|Referring physician>:↵  {DOCTOR:listed}
history = <ANTECEDENTES|HISTORY>↵  - <Familiares|Family>: {family}↵  - <Personales|Past>: {personal}
  ↵  - <Alergias|Allergies>: {allergy}
  <ANTECEDENTES|HISTORY>↵  - <Personales|Past>:↵      {PROBLEM:condition}; {PROBLEM:condition}
  ↵  - <Familiares|Family>:↵      {FAMILY_HISTORY}; {FAMILY_HISTORY}
  <ANTECEDENTES|HISTORY>↵  - <Familiares|Family>:↵      {FAMILY_HISTORY}↵      {FAMILY_HISTORY}
  ↵  - <Personales|Past>:↵      {PROBLEM:condition}↵      {PROBLEM:condition}
allergy = <no conocidas|none known>. | {DRUG}. | {DRUG} ({PROBLEM:symptom}).
illness = <ENFERMEDAD ACTUAL|PRESENT ILLNESS>↵{complaint} {more} | {complaint} {more} {more}
  <MOTIVO DE CONSULTA|CHIEF COMPLAINT>: {PROBLEM}.↵{complaint} {more}
findings = <EXPLORACIÓN|EXAM>↵  - <Constantes|Vitals>: {vitals}.↵  - General: {exam}↵<PRUEBAS|TESTS>↵  - {^analyte}.
  ↵  - {^TEST:study}: {result}.
  <EXPLORACIÓN|EXAM>: {vitals}. {exam} {^TEST:study}: {result}. <Analítica|Labs>: {analyte}, {analyte}.
  <Pruebas|Workup>:↵  1) {^TEST:study} ({DATE:admission=}): {result}.↵  2) {^TEST:study}: {result}; {analyte}.
result = <compatible con|consistent with> {PROBLEM:condition} | <sin hallazgos|unremarkable>
  {PROBLEM:disease} vs. {PROBLEM:disease} | <sin cambios desde el|unchanged since> {DATE:past}
course = <EVOLUCIÓN|COURSE>↵{event} {event} {event}↵{event} {event} | <Evolución|Course>: {event} {event}
end = {diagnosis}↵↵{therapy}↵↵{signature}
diagnosis = <JUICIO CLÍNICO|IMPRESSION>↵1. {^PROBLEM:condition}↵2. {^PROBLEM:condition} | <JC|Imp.>: {PROBLEM:condition}
  <DIAGNÓSTICOS|DIAGNOSES>↵  1) {^PROBLEM:condition}↵  2) {^PROBLEM:condition}↵  3) {^PROBLEM:condition}
therapy = <TRATAMIENTO|TREATMENT>↵1. {rx}↵2. {rx}↵3. {advice} | Plan: {rx}; {rx}↵{advice}
  PLAN↵  - <Fármacos|Drugs>:↵      {rx}↵      {rx}↵  - <Revisión|Follow-up>: {advice}
  <TRATAMIENTO|TREATMENT>↵  {^DRUG}↵    <Dosis|Dose> (mg):↵      {DOSE:milligrams}↵    <Pauta|Schedule>: {often}
  ↵  {^DRUG}: {DOSE}↵{advice}
rx = {^DRUG} {DOSE} {often} | {^DRUG}: {DOSE} <v|p>.o., {often} | {DOSE} <de|of> {DRUG} {often}
signature = <Fdo.|Signed>:↵{DOCTOR:anyone}↵<Col.|Lic.> {ID} | <Firmado|Signed>: {doctor}
  {DOCTOR:anyone}↵<Servicio de|Department of> {service=}
  {PATIENT:own_full}↵(<[el/la] paciente|patient>)↵↵{DOCTOR:anyone}↵(<por el servicio|for the department>)
"""

_SPANISH = """
months = enero | febrero | marzo | abril | mayo | junio | julio | agosto | septiembre | octubre | noviembre | diciembre
given_m ~ Andrés Baltasar Cosme Dionisio Efrén Fermín Hilario Iñaki Joel Mateo Noé Óscar Plácido Saúl Tomás Unai Zoilo
given_f ~ Amparo Begoña Covadonga Elvira Fátima Inés M.ª~Jesús Lola Marta Nuria Olalla Petra Rocío Telma Úrsula Vega
family_name ~ García Ibáñez Quintana Peñalver Bermúdez Fajardo Ordóñez Urrutia Salcedo Lozano Núñez Muñoz Echevarría
name_stem ~ Mont Herr Barr Carr Cald Quint Cerv Terr Cab Rib Vall Med Torn Camp Lor Sand Palm Bald Fig Oliv Cord Zam
saint ~ Telmo Blas Olegario Antón Millán Lesmes Jerónimo Cucufate Roque Pantaleón Froilán Wilfredo
street_name ~ Almendros Herrerías Curtidores Acequia Molino Relojeros Alfareros Cigüeñas Golondrinas Mirador
town_stem ~ Robl Font Castr Almendr Mor Carrasc Encin Pinar Sabin Olm Peñ Cerr Lagun Riv Tej Zarz
symptom = disnea | tos seca | náuseas | mareo | cefalea | astenia | edemas | dolor torácico | temblor | pérdida de peso
study = TAC abdominal | RMN craneal | ECG | ecografía | radiografía de tórax | gasometría | Holter de 24 h | biopsia
kind = aguda | crónica | leve | grave | izquierda | derecha | bilateral | recurrente | de origen incierto | grado II
doctor = Dr. {DOCTOR:surname} | Dra. {DOCTOR:surname} | Dr. {DOCTOR:man} | Dra. {DOCTOR:woman}
HOSPITAL = Hospital {surname} | Hospital Universitario {surname} | Hospital de {town} | Clínica {surname}
  Clínica San {saint} | Hospital General de {town} | Centro de Salud {street_name}
street = Calle {street_name}, nº # | C/ {street_name} ##, #º B | Avda. {surname}, ##, #º izda. | Plaza {street_name} #
often = c/8 h | cada 12 horas | b.i.d. | q.d. | 1-0-1 | 0-0-1 | en ayunas | si precisa | c/24 h, {few} días más
job = Panader[o/a] | Maestr[o/a] jubilad[o/a] | Apicultor[/a] | Relojer[o/a] | Violonchelista | Farer[o/a] jubilad[o/a]
home = vive con dos gatos | vive sol[o/a] en un 4º sin ascensor | vive con su hermana | cuida del huerto | toca la gaita
social = {job}, {home}. | {job} en {LOCATION:town}; {home}. | Natural de {LOCATION:town}; {home}.
  Fuma ## cig./día (p.ej. «solo los domingos»); {home}.
introduction = Le remito a {PATIENT:own_full}, de {AGE:age=} años, a quien vimos el {DATE:admission=}.
  Gracias por enviarnos a [D./Dña.] {PATIENT:own_full} (tel. {PHONE:number}), a quien vimos el {DATE:admission=}.
family = padre con {FAMILY_HISTORY} a los {AGE:kin_age}; tía, {FAMILY_HISTORY}. | madre con {FAMILY_HISTORY}.
  dos hermanos con {FAMILY_HISTORY}… y un primo que «también». | abuela muerta a los {AGE:kin_age} por {FAMILY_HISTORY}.
personal = {PROBLEM:condition} desde hace ## años, en tratamiento con {DRUG}.
  {PROBLEM:condition} (diagnosticada el {DATE:past}) y {PROBLEM:condition}.
  {PROBLEM:disease}, operada por {DOCTOR:surname} en {HOSPITAL}. | niega {PROBLEM}; {PROBLEM:disease} resuelta.
complaint = [Varón/Mujer] de {AGE:age=} años que consulta por {PROBLEM} y {PROBLEM:symptom} de {few} días de evolución.
  Acude por {PROBLEM:symptom} de aprox. semana y ½ de evolución, que empeora al subir escaleras.
  Refiere desde hace unos días {PROBLEM:symptom} y {PROBLEM}… «como un gato sentado en el pecho».
  Trasladad[o/a] desde {HOSPITAL:site} por {PROBLEM}; allí se inició {DRUG} {DOSE} con respuesta parcial.
  [El Sr./La Sra.] {PATIENT:own_surname=} presenta {PROBLEM:condition}, tratada por su cuenta con {DRUG} sin mejoría.
more = Empeora de noche, con {PROBLEM:symptom}. | Niega {PROBLEM:symptom} o {PROBLEM:symptom}. | {social}
  Según {DOCTOR:surname}, {PROBLEM:condition} vs. {PROBLEM:condition}. | Hace {few} años, episodio similar de {PROBLEM}.
  Su hija (tel. {PHONE:number}) confirma {PROBLEM:symptom}. | {HOSPITAL:site} informa de {PROBLEM:disease} previa.
exam = Consciente y orientad[o/a]. | Bromea con la enfermera. | Regular estado, con {PROBLEM:symptom}.
event = Se inició {DRUG} {DOSE} {often}, con buena respuesta. | Se suspende {DRUG} por {PROBLEM}.
  Valorad[o/a] por {doctor} ({service}), que recomienda {TEST:study}. | A las 48 h, {analyte} y sin {PROBLEM:symptom}.
  El {DATE:meanwhile} presentó {PROBLEM:condition}, que cedió con {DRUG} ({DOSE}).
  Se comenta con {DOCTOR:surname}: mantener {DRUG} y repetir {TEST:study}.
  {HOSPITAL:site} repite {TEST:study}, que descarta {PROBLEM:disease}.
  {^PROBLEM:disease} en resolución; pasea por el pasillo y gana al dominó.
advice = Control por {doctor} en {few} semanas. | Cita en el {PHONE:number}. | Si {PROBLEM:symptom}, ir a {HOSPITAL}.
  Citar con el nº {ID:number}; dudas, en el {PHONE:number}. | {^TEST:study} ambulante en {HOSPITAL:site}.
"""

_ENGLISH = """
months = January | February | March | April | May | June | July | August | September | October | November | December
given_m ~ Albert Barnaby Cedric Desmond Ezra Felix Gideon Horace Jasper Linus Milton Neville Oswald Percy Rufus Silas
given_f ~ Agatha Beatrice Clementine Dorothy Edith Flora Gwendolyn Harriet Imogen Lavinia Mabel Nora Ophelia Ruth Una
family_name ~ Mercer Sinclair Lockhart O'Malley Winthrop Delacroix Okafor Nakamura Abernathy Prescott Kowalski Rosenthal
name_stem ~ Pember Hather Winter Hols Brad Whit Lang Ather Black Green Kings Full Ed Wal Thistle Fair Hazel Shef Burn
saint ~ Brendan Swithin Aldate Cuthbert Ninian Dunstan Columba Werburgh Kenelm Aidan
street_name ~ Maple Juniper Harbor Orchard Mill Chapel Lantern Foundry Heron Meadow Quarry Willow
town_stem ~ Ash Thorn Elm Fox Hart Marsh Raven Stone Wolf Brook Cold Amber
symptom = dyspnea | dry cough | nausea | dizziness | headache | fatigue | swelling | chest pain | insomnia | weight loss
study = abdominal CT | brain MRI | ECG | ultrasound | chest X-ray | arterial blood gas | 24-h Holter | biopsy
kind = acute | chronic | mild | severe | left-sided | right-sided | bilateral | recurrent | grade II
doctor = Dr. {DOCTOR:surname} | Dr. {DOCTOR:anyone} | {DOCTOR:anyone}, M.D.
HOSPITAL = {surname} Hospital | {surname} Memorial Hospital | {town} General Hospital | St. {saint}'s Hospital
  {street_name} Street Clinic | University Hospital of {town}
street = ## {street_name} Street, Apt. #B | ### {street_name} Ave. | # {surname} Lane | ## {street_name} Road
often = q8h | every 12 hours | b.i.d. | q.d. | at bedtime | before meals | p.r.n. | daily for {few} days
job = Retired lighthouse keeper | Baker | Beekeeper | Retired teacher | Clockmaker | Cellist | Bus driver
home = lives with two cats | lives alone on the 4th floor | lives with a sister | keeps bees | plays the bagpipes
social = {job}; {home}. | {job} from {LOCATION:town}; {home}. | Smokes ## cig./day (e.g. "only on Sundays"); {home}.
introduction = Thank you for seeing [Mr./Ms.] {PATIENT:own_full}, age {AGE:age=}, whom we saw on {DATE:admission=}.
  I am referring {PATIENT:own_full} (phone {PHONE:number}), seen here on {DATE:admission=}.
family = father had {FAMILY_HISTORY} at {AGE:kin_age}; aunt, {FAMILY_HISTORY}. | mother with {FAMILY_HISTORY}.
  two brothers with {FAMILY_HISTORY}… and a cousin who "has it too". | {FAMILY_HISTORY} in an aunt, at {AGE:kin_age}.
personal = {PROBLEM:condition} for ## years, on {DRUG}. | {PROBLEM:condition} ({DATE:past}) and {PROBLEM:condition}.
  {PROBLEM:disease}, operated on by {DOCTOR:surname} at {HOSPITAL}. | denies {PROBLEM}; {PROBLEM:disease}, resolved.
complaint = {AGE:age=}-year-old [man/woman] with {PROBLEM} and {few} days of {PROBLEM:symptom}.
  Presents with approx. 1½ weeks of {PROBLEM:symptom}, worse on climbing stairs.
  [He/She] reports {PROBLEM:symptom} and {PROBLEM}… "like a cat sitting on my chest".
  Transferred from {HOSPITAL:site} for {PROBLEM}; {DRUG} {DOSE} was started there with partial response.
  [Mr./Ms.] {PATIENT:own_surname=} has {PROBLEM:condition} and took {DRUG} from a neighbor, without relief.
more = Worse at night, with {PROBLEM:symptom}. | Denies {PROBLEM:symptom} or {PROBLEM:symptom}. | {social}
  Per {DOCTOR:surname}, {PROBLEM:condition} vs. {PROBLEM:condition}. | A similar episode of {PROBLEM} {few} years ago.
  [His/Her] daughter (tel. {PHONE:number}) confirms {PROBLEM:symptom}. | {HOSPITAL:site} noted past {PROBLEM:disease}.
exam = Alert and oriented. | Well; jokes with nurses. | Mild {PROBLEM:symptom}. | Tender, suggesting {PROBLEM:disease}.
event = {^DRUG} {DOSE} {often} was started, with good response. | {^DRUG} was stopped because of {PROBLEM}.
  Seen by {doctor} ({service}), who suggests {TEST:study}. | At 48 h, {analyte} and no {PROBLEM:symptom}.
  On {DATE:meanwhile} [he/she] developed {PROBLEM:condition}, which settled with {DRUG} ({DOSE}).
  Discussed with {DOCTOR:surname}: continue {DRUG}, repeat {TEST:study}.
  {HOSPITAL:site} repeated the {TEST:study}, which ruled out {PROBLEM:disease}.
  {^PROBLEM:disease} resolving; [he/she] walks the hallway and wins at dominoes.
advice = Follow-up with {doctor} in {few} weeks. | To book: {PHONE:number}. | If {PROBLEM:symptom}, come to {HOSPITAL}.
  Quote no. {ID:number}; questions to {PHONE:number}. | {^TEST:study} as an outpatient at {HOSPITAL:site}.
"""

_LANGUAGES = {"es": _SPANISH, "en": _ENGLISH}
_SPLITS = ("train", "validation")
_SLOT = re.compile(r"\{(\^?)(\w+)(?::(\w+))?(=?)\}|\[(.*?)/(.*?)\]|(#+)")


def synthetic_notes(n: int, *, seed: int = 0, split: str = "train", language: str = "both") -> list[Document]:
    """Return `n` annotated notes in "es", "en" or, by turns, "both"; the texts alone serve masked-LM pretraining.

    The same arguments give the same notes in any process, and a larger `n` begins with the notes of a smaller one.
    Raises ValueError for a split other than "train" and "validation", or any other language.
    """
    for name, found, known in ("split", split, _SPLITS), ("language", language, (*_LANGUAGES, "both")):
        if found not in known:
            raise ValueError(f"No synthetic notes for {name} {found!r}: choose one of {known}.")
    languages = tuple(_LANGUAGES) if language == "both" else (language,)
    return [_note(split, languages[i % len(languages)], i, seed) for i in range(n)]


def _note(split: str, language: str, number: int, seed: int) -> Document:
    id = f"{split}-{language}-{number:04d}"
    draft = _Draft(_grammar(language, split), random.Random(f"{seed} {id}"))
    text = draft.write("{note}")
    return Document(id, _wrap(text, draft.entities, draft.random.choice((72, 80, 100, len(text)))), draft.entities)


@lru_cache
def _grammar(language: str, split: str) -> dict[str, list[str]]:
    source = re.sub(r"<([^|>]*)\|([^>]*)>", r"\1" if language == "es" else r"\2", _LAYOUT + _LANGUAGES[language])
    rules = {}
    for rule in re.findall(r"^\w.*(?:\n  .*)*", source.replace("\n  ↵", "↵"), re.MULTILINE):
        name, kind, body = rule.split(" ", 2)
        texts = body.split()[_SPLITS.index(split) :: 2] if kind == "~" else re.split(r" \| |\n  ", body)
        rules[name] = [text.replace("~", " ").replace("↵", "\n") for text in texts]
    return rules


class _Draft:
    """A note being written: what it has said so far, and where its mentions are."""

    def __init__(self, rules: dict[str, list[str]], rng: random.Random):
        self.rules, self.random, self.entities = rules, rng, []
        self.unused = {}  # alternatives of each rule in random order: none comes again before all have come
        self.sex = rng.randrange(2)
        age, year, (month, birth) = rng.randrange(58, 95), rng.randrange(2020, 2026), rng.sample(range(12), 2)
        self.said = {"age": str(age), "year": str(year), "yy": str(year)[2:], "born": str(year - age - (birth > month))}
        self.said |= {"month": rules["months"][month], "birth_month": rules["months"][birth]}
        self.said |= {"mm": f"{month + 1:02d}", "birth_mm": f"{birth + 1:02d}"}

    def write(self, template: str, start: int = 0) -> str:
        """Resolve the template's slots; `start` is the offset at which the text will stand in the note."""
        text, done = "", 0
        for slot in _SLOT.finditer(template):
            text += template[done : slot.start()]
            text += self.resolve(*slot.groups(), start=start + len(text))
            done = slot.end()
        return text + template[done:]

    def resolve(self, capital, name, rule, same, male, female, digits, *, start: int) -> str:
        if digits:
            return str(self.random.randrange(10 ** (len(digits) - 1), 10 ** len(digits)))
        if not name:
            return self.write((male, female)[self.sex], start)
        rule = rule or name
        text = self.said[rule] if same and rule in self.said else self.write(self.draw(rule), start)
        if same:
            self.said[rule] = text
        if name in ENTITY_TYPES:
            self.entities.append(Entity(start, start + len(text), name))
        return text[0].upper() + text[1:] if capital else text

    def draw(self, rule: str) -> str:
        if not self.unused.get(rule):
            self.unused[rule] = self.random.sample(self.rules[rule], len(self.rules[rule]))
        return self.unused[rule].pop()


def _wrap(text: str, entities: list[Entity], width: int) -> str:
    """Break lines at `width` by turning spaces outside mentions into line breaks, so that offsets stay."""
    characters = list(text)
    for entity in entities:
        characters[entity.start : entity.end] = "x" * (entity.end - entity.start)
    wrapped = re.sub(rf"(?=[^\n]{{{width + 1}}})([^\n]{{40,{width}}}) (?=\S)", r"\1\n", "".join(characters))
    return "".join("\n" if mark == "\n" else character for mark, character in zip(wrapped, text, strict=True))

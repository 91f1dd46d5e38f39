"""Made-up notes to begin with, by the grammar of the project's synthetic notes: nobody's."""

EXAMPLES = {
    "Spanish": """INFORME DE ALTA - Cardiología
Hospital General de Sancejo

Nombre: Olmina Virnera Lontero
NHC: (552) 770-223
Fecha de nacimiento: 14/07/1949   Edad: 72
Domicilio: Avda. Cifuentes, 16, 3º izda.
           Gareda 52449
Ingreso: 2 de octubre de 2021   Alta: 22 de octubre de 2021
Médico responsable:
  Vanchano, Zendio

ANTECEDENTES
  - Personales:
      otopatía grave; hepatonefropatía
  - Familiares:
      pancreatalgia recurrente; ferropenia

Mujer de 72 años que consulta por sinusomielitis grado II y tos seca de 6 días de evolución. Hace 3
años, episodio similar de balanitis de origen incierto. Empeora de noche, con cefalea.

EXPLORACIÓN: TA 133/74, FC 89, T 36,5 °C. Regular estado, con edemas. Biopsia: compatible con
dermatalgia. Analítica: creatinina 1,91 mg/dl, bilirrubina 0,32 mg/dl.

Evolución: Se comenta con Simpado: mantener calaxabán y repetir gasometría. Se suspende samupril por
pérdida de peso.

JUICIO CLÍNICO
1. HTA
2. Vasculitis izquierda

TRATAMIENTO
  Bebilol
    Dosis (mg):
      51
    Pauta: en ayunas
  Tradoprazol: 8 ml
Cita en el 557148037.

Firmado: Dra. Tastano
""",
    "English": """DISCHARGE SUMMARY - Cardiology
St. Aidan's Hospital

Name: Fladina Sheldton
MRN: 335108/5
Date of birth: 02/06/1929   Age: 94
Address: 16 Juniper Road
           Fostwick 54447
Admitted: 01/04/24   Discharged: January 22, 2024
Attending physician:
  Backwood, Nalin

HISTORY
  - Family:
      mild otopathy
      HTN
  - Past:
      omphalogastritis
      bilateral gingivoretinopathy

94-year-old woman with fatigue and 5 days of headache. Worse at night,
with dry cough. Per Fashley, arthralgia vs. COPD.

EXAM
  - Vitals: T 38.2 °C, SpO₂ 95 % on FiO₂ 0.25.
  - General: Well; jokes with nurses.
TESTS
  - Creatinine 0.72 mg/dL.
  - 24-h Holter: unremarkable.

Course: Belaxaban was stopped because of recurrent enteritis. Seen by
Dr. Linus Drummond (Urology), who suggests chest X-ray.

DIAGNOSES
  1) Chronic meningitis
  2) Miomastitis
  3) Migraine

TREATMENT
1. Viltifloxacin 300 mg daily for 6 days
2. 60 units of zaloprazole q8h
3. To book: 556-788-5713.

Signed:
Meria Durtworth
Lic. (554) 800-819
""",
}
